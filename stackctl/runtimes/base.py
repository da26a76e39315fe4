"""What every runtime can do, and what it tells of a stack."""

import os
import pwd
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from stackctl.addresses import Way
from stackctl.observed import Observed
from stackctl.pipe import Pipe
from stackctl.progress import Progress
from stackctl.render import Bundle, Place
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


def place_of(stack: Stack, effective: Effective, identity: Identity) -> Place:
    """Where the stack's bundle lives, and whose it is."""
    return Place(
        home=str(stack.home.path),
        data=str(stack.data(effective.settings.data)),
        secrets=str(stack.secrets.path),
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


class Runtime(Protocol):
    """Where a stack's services run. Nothing outside a runtime asks which one it is.

    Attributes:
        name: As in the setting `runtime`.
        may_bind_any_port: Ports that only root may use are no obstacle.
    """

    name: str
    may_bind_any_port: bool

    def check(self) -> None:
        """Raise a MachineError that says why this runtime cannot be used here."""

    def place(self, stack: Stack, scenario: Scenario, effective: Effective) -> Place:
        """Where the bundle will live, whose it is, and what it needs to know of this runtime."""

    def observe(self, stack: Stack, bundle: Bundle | None = None) -> Observed:
        """The stack as it is now; with a bundle, also which of its images are there."""

    def refuse_foreign(self, stack: Stack, bundle: Bundle) -> None:
        """Raise a UserError where something of that name belongs to somebody else."""

    def obtain_images(self, stack: Stack, bundle: Bundle, progress: Progress) -> None:
        """Build, pull or prepare what is not there."""

    def start(
        self,
        stack: Stack,
        bundle: Bundle,
        *,
        timeout: float,
        progress: Progress,
        only: Sequence[str] = (),
    ) -> None:
        """Make the stack what the bundle says, and wait until every service is settled.

        Args:
            stack: Which.
            bundle: Whose files are in the stack's folder.
            timeout: Seconds.
            progress: Told of each service.
            only: These services, where it is not all; others may be started too.
        """

    def restore(self, stack: Stack) -> None:
        """Start what the files in the stack's folder say, and do not wait for it."""

    def remove(self, stack: Stack, *, lost: frozenset[str] = frozenset()) -> None:
        """Take services and networks away, and those of the volumes that are named."""

    def logs(self, stack: Stack, service: str | None, *, follow: bool, tail: int) -> Iterator[str]:
        """Lines of the services' logs."""

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

    def stop(self, stack: Stack, names: Sequence[str]) -> None:
        """Stop some services; `start` starts them again."""

    def run_only(self, stack: Stack, names: Sequence[str], *, timeout: float) -> None:
        """Have some services run and be settled, as the files say, and none of the others.

        Args:
            stack: Whose.
            names: Which; they depend on no other.
            timeout: Seconds for them to become ready.

        Raises:
            NotReady: One did not start.
        """

    def port_owner(self, stack: Stack, port: int) -> str | None:
        """Who publishes `port`: "" for this stack itself, a description, or None if unknown."""

    def disk_use(self, stack: Stack) -> Mapping[str, int]:
        """Bytes used by each volume of the stack."""
