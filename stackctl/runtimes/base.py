"""What every runtime can do, and what it tells of a stack."""

import os
import pwd
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from stackctl.addresses import Way
from stackctl.fitness import Finding
from stackctl.observed import Observed
from stackctl.pipe import Pipe
from stackctl.plan import Step
from stackctl.progress import Progress
from stackctl.render import Bundle, Host, Rendering, Service
from stackctl.scenario import Scenario
from stackctl.settings import Effective, Settings
from stackctl.stack import Stack


@dataclass(frozen=True)
class Identity:
    """As whom containers act, so that files get the owner that the user expects."""

    uid: int
    gid: int
    user: str

    @classmethod
    def of_this_process(cls) -> "Identity":
        """Whoever runs stackctl."""
        uid = os.geteuid()
        try:
            user = pwd.getpwuid(uid).pw_name
        except KeyError:
            user = f"uid{uid}"
        return cls(uid, os.getegid(), user)


def host_of(stack: Stack, effective: Effective, identity: Identity) -> Host:
    """This machine, as the files of a stack name it."""
    return Host(
        home=str(stack.home.path),
        data=str(stack.data(effective.settings.data)),
        secrets=str(stack.secrets.path),
        state=str(stack.state),
        owner=stack.owner,
        uid=identity.uid,
        gid=identity.gid,
        user=identity.user,
    )


@dataclass(frozen=True)
class Inside:
    """The way by which services of a stack reach each other, and one to try it.

    Attributes:
        way: Where the server is for them.
        run_python: Runs Python source among them; returns what it printed.
    """

    way: Way
    run_python: Callable[[str], str]


@dataclass(frozen=True)
class Obstacle:
    """Why nothing can be published at an address.

    Attributes:
        kind: `address`: it is not one of the machine; `privilege`: only root may use the port;
            `taken`: another listens there.
        owner: Who that is, as far as this user may know.
    """

    kind: Literal["address", "privilege", "taken"]
    owner: str = ""


class Runtime(Protocol):
    """Where a stack's services run. Nothing outside a runtime asks which one it is.

    Attributes:
        name: As in the setting `runtime`.
    """

    name: str

    @property
    def rendering(self) -> type[Rendering]:
        """How a stack becomes files that this runtime understands."""

    def check(self) -> None:
        """Raise a MachineError that says why this runtime cannot be used here."""

    def fitness(self) -> Iterator[Finding]:
        """What of the machine it depends on; the first tells whether it can be used at all."""

    def host(self, stack: Stack, scenario: Scenario, effective: Effective) -> Host:
        """The machine as the stack's files name it, of the kind that `rendering` takes."""

    def observe(self, stack: Stack, bundle: Bundle | None = None) -> Observed:
        """The stack as it is now; with a bundle, also which of its programs are there."""

    def described(self, stack: Stack) -> tuple[Service, ...]:
        """The services that the files in the stack's folder describe, as they start."""

    def refuse_foreign(self, stack: Stack, bundle: Bundle) -> None:
        """Raise a UserError where something of that name belongs to somebody else."""

    def obstacle(self, stack: Stack, address: str, port: int) -> Obstacle | None:
        """Why nothing of the stack can be published there; None where it can, or is."""

    def obtain(self, stack: Stack, bundle: Bundle, progress: Progress) -> None:
        """Have every program of the bundle be there: build, pull, install.

        Raises:
            MachineError: One cannot be had.
        """

    def apply(
        self,
        stack: Stack,
        services: Sequence[Service],
        steps: Sequence[Step],
        *,
        timeout: float | None,
        progress: Progress,
    ) -> None:
        """Carry out what a plan says of the services, and wait until they are settled.

        What is to be read anew is, once they are.

        Args:
            stack: Whose files are in its folder.
            services: Those that are waited for.
            steps: What is to be done, and nothing else is.
            timeout: Seconds, of a machine that is not slow; None: do not wait.
            progress: Told of each service.

        Raises:
            NotReady: Naming the service, its state, its last log lines, and what to do.
        """

    def stop(self, stack: Stack, names: Sequence[str]) -> None:
        """Stop some services; a plan then says that they are to be started.

        Raises:
            MachineError: One would not stop.
        """

    def remove(self, stack: Stack, *, lost: frozenset[str] = frozenset()) -> None:
        """Take services and networks away, and those of the volumes that are named.

        Raises:
            MachineError: Something could not be removed.
        """

    def logs(self, stack: Stack, service: str | None, *, follow: bool, tail: int) -> Iterator[str]:
        """Lines of the services' logs, without secrets."""

    def inside(self, stack: Stack, scenario: Scenario, settings: Settings) -> Inside | None:
        """How services reach each other; None where that is the published way."""

    def within(self, stack: Stack, service: str, script: str) -> AbstractContextManager[Pipe]:
        """Run a bash script where a service runs that is up."""

    def beside(
        self, stack: Stack, service: str, script: str, words: Sequence[str]
    ) -> AbstractContextManager[Pipe]:
        """Run a bash script as `service` would be run, while that is up or not.

        Args:
            stack: Whose.
            service: With its program, files, secrets and networks; none of its ports.
            script: What is run.
            words: Its arguments.
        """

    def sweep(self, stack: Stack) -> None:
        """End what was run beside the services by a stackctl that was killed."""

    def disk_use(self, stack: Stack) -> Mapping[str, int]:
        """Bytes used by each volume of the stack."""
