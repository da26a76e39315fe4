"""A tracking stack for tests: its own name, ports and home, all gone with its data at the end."""

import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from stackctl import scenarios, settings
from stackctl.client import environment as client
from stackctl.client.environment import ClientEnvironment, client_environment
from stackctl.console import say
from stackctl.deployment import Deployment
from stackctl.errors import PortTaken, StackctlError, UnknownName, UserError
from stackctl.machine import reserve
from stackctl.operations.deploy import deploy
from stackctl.operations.remove import remove_with_data
from stackctl.scenario import Scenario
from stackctl.stack import Home
from stackctl.testing import environment
from stackctl.testing.watch import Watch

if TYPE_CHECKING:
    from testcontainers.compose import DockerCompose

KEEP = "STACKCTL_TESTING_KEEP"
_DEPLOYS = 5
_LINES = 400
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Deployed:
    deployment: Deployment
    ports: ExitStack

    @property
    def client(self) -> ClientEnvironment:
        return client_environment(self.deployment)


class TrackingStack:
    """A stack that is deployed on entry, checked by use, and removed with its data on exit.

    Its home is a temporary folder. Settings of the environment and of `.env` files do not reach
    it, so that a test has the same stack everywhere; scenarios of the home folder that the test
    runs in do.

    If the process ends without `stop()`, by `kill -9` for example, a watcher removes the stack.

    Args:
        scenario: The scenario's name.
        runtime: Where its services run; `auto`: Docker where a daemon answers, else processes.
        settings: As with `--set` of `stackctl deploy`; published ports are free ones where they
            are not among them.
        timeout: Seconds for the services to become ready.
        keep: Leave the stack running at the end, and say where; also with
            `STACKCTL_TESTING_KEEP=1`.

    Attributes:
        name: The stack's name, which no other has.
        runtime: Where its services run: `docker` or `embedded` once it is started.
    """

    def __init__(
        self,
        scenario: str = "scenario-3b",
        *,
        runtime: str = "auto",
        settings: Mapping[str, str | int] | None = None,
        timeout: float = 180,
        keep: bool = False,
    ) -> None:
        self.name = f"test-{os.getpid()}-{secrets.token_hex(3)}"
        self.scenario = scenario
        self.runtime = runtime
        self.timeout = timeout
        self.keep = keep or os.environ.get(KEEP, "") not in ("", "0")
        self._settings = dict(settings or {})
        self._deployed: _Deployed | None = None
        self._watch: Watch | None = None

    def __repr__(self) -> str:
        return f"<TrackingStack {self.name}: {self.scenario}, runtime {self.runtime}>"

    def __enter__(self) -> Self:
        __tracebackhide__ = True
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Deploy it; returns when it was checked by use. A second call does nothing.

        Raises:
            UserError: The scenario or a setting is refused.
            MachineError: No runtime can be used here.
            NotReady: A service did not start. Message and notes name it, its state, and its last
                log lines, without secrets. Nothing of the stack is left.
        """
        __tracebackhide__ = True  # pytest shows the line of the test instead
        if self._deployed is not None:
            return
        home = Home(Path(tempfile.mkdtemp(prefix="stackctl-testing-")).resolve())
        try:
            if not self.keep:
                self._watch = Watch(home.path, self.name)
            self._deployed = self._deploy(home)
        except BaseException as error:
            self._clear(home)
            if isinstance(error, StackctlError):
                if error.details:
                    error.add_note(error.details)
                # What happened inside of stackctl is told by its words.
                raise error.with_traceback(None) from None
            raise

    def stop(self) -> None:
        """Remove it with its data, unless it is to be kept. A second call does nothing.

        Raises:
            MachineError: Something of it could not be removed; the watcher goes on trying.
        """
        deployed, self._deployed = self._deployed, None
        if deployed is None:
            return
        with deployed.ports:
            if self.keep:
                home = deployed.deployment.stack.home.path
                say(
                    f"kept {self!r}\n"
                    f"  see it     stackctl --home {home} show {self.name}\n"
                    f"  remove it  stackctl --home {home} remove {self.name} --volumes "
                    f"--confirm {self.name} && rm -r {home}"
                )
                return
            try:
                if deployed.deployment.stack.manifest() is not None:
                    remove_with_data(deployed.deployment, progress=_log.info)
            finally:
                self._clear(deployed.deployment.stack.home)

    @property
    def tracking_uri(self) -> str:
        """What a client sets as its tracking URI."""
        found = self._started().deployment
        return client.tracking_uri(found.scenario, found.settings, found.data)

    @property
    def ui(self) -> str:
        """The address of the UI."""
        return str(self._started().deployment.addresses.server)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a client, as `stackctl env` tells them.

        Values of secrets are among them, as strings whose `repr` does not show them.
        """
        return environment.plain(self._started().client)

    def as_environment(self) -> AbstractContextManager[None]:
        """A context in which this process is a client of the stack.

        `os.environ` and what `mlflow` was told by its functions are afterwards as before.
        """
        return environment.applied(self._started().client)

    def logs(self, service: str | None = None, *, tail: int = _LINES) -> str:
        """The last lines of one service's log, or of each, without secrets.

        Raises:
            UnknownName: There is no such service.
        """
        found = self._started().deployment
        known = list(found.runtime.observe(found.stack).services)
        if service is not None and service not in known:
            raise UnknownName("service", service, known)
        return "\n".join(found.runtime.logs(found.stack, service, follow=False, tail=tail))

    @property
    def compose(self) -> "DockerCompose":
        """The stack as testcontainers knows one, for `get_container`, `exec_in_container`, ….

        Raises:
            UserError: The stack is not on Docker, or testcontainers is not installed.
        """
        found = self._started().deployment
        if found.runtime.name != "docker":
            raise UserError(
                f"{self!r} has no Compose project", hint="ask for it with runtime='docker'"
            )
        try:
            from stackctl.testing.compose import bound
        except ModuleNotFoundError as missing:
            raise UserError(
                f"TrackingStack.compose needs {missing.name}, which is not installed",
                hint="install stackctl's extra `testing`",
            ) from missing
        return bound(found.stack)

    def _started(self) -> _Deployed:
        if self._deployed is None:
            raise UserError(
                f"{self!r} is not started",
                hint="use it in `with TrackingStack(…) as stack:`, or call start()",
            )
        return self._deployed

    def _deploy(self, home: Home) -> _Deployed:
        found, stack = self._scenario(home), home.stack(self.name)
        given = self._flags()
        wanted = settings.resolve(found, flags=given, environment={}, given_by="settings")
        free = [
            key for key, value in wanted.settings
            if key.endswith("port") and value is not None and key not in self._settings
        ]  # fmt: skip
        chosen = Deployment.chosen(stack, found, wanted)
        _log.info("%s", chosen.why)
        self.runtime = chosen.runtime.name
        left = _DEPLOYS
        while True:
            left -= 1
            with ExitStack() as held:
                ports = {key: held.enter_context(reserve()).getsockname()[1] for key in free}
                flags = [*given, *(f"{key}={port}" for key, port in ports.items())]
                effective = settings.resolve(
                    found, flags=flags, environment={}, given_by="settings"
                )
                deployment = replace(chosen, effective=effective)
                try:
                    deploy(deployment, progress=_log.info, timeout=self.timeout)
                except PortTaken as error:
                    if error.port not in ports.values() or not left:
                        raise
                    _log.info("%s; choosing anew", error.message)
                    continue
                return _Deployed(deployment, held.pop_all())

    def _scenario(self, home: Home) -> Scenario:
        """The scenario; one of the user's own is copied to where the stack's commands find it."""
        own = Home.find().scenarios
        file = own / f"{self.scenario}.toml"
        if file.is_file():
            home.scenarios.mkdir()
            shutil.copy(file, home.scenarios)
        return scenarios.load(self.scenario, own)

    def _flags(self) -> list[str]:
        for key, instead in (("name", "is TrackingStack's own"), ("runtime", "is an argument")):
            if key in self._settings:
                raise UserError(f"setting {key!r} {instead}", hint="leave it out of settings=")
        given = {**self._settings, "name": self.name, "runtime": self.runtime}
        return [f"{key}={value}" for key, value in given.items()]

    def _clear(self, home: Home) -> None:
        """Delete the home of a stack that is gone; what is left, the watcher tries to remove."""
        watch, self._watch = self._watch, None
        if home.stack(self.name).manifest() is None:
            shutil.rmtree(home.path, ignore_errors=True)
        if watch is None:
            return
        if home.path.exists():
            watch.act()
        else:
            watch.end()
