"""One stack as all see it who act on it: its record on the disk, its scenario, where it runs."""

import inspect
import io
import json
import zipfile
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

from stackctl import courier, locations, scenarios
from stackctl.addresses import Addresses
from stackctl.errors import BadSetting
from stackctl.pipe import Pipe
from stackctl.plan import service_steps
from stackctl.progress import Progress
from stackctl.render import Bundle, Host, Rendering
from stackctl.runtimes import choice
from stackctl.runtimes.base import Runtime
from stackctl.scenario import Scenario
from stackctl.secrets import SecretFolder
from stackctl.settings import Effective, Settings
from stackctl.stack import Stack
from stackctl.stores import ARTIFACTS, BACKENDS, ArtifactStore, BackendStore

# Reads the courier's source, and leaves the rest of the input to it.
_BOOT = """
import atexit, os, shutil, sys, tempfile
folder = tempfile.mkdtemp(prefix="courier-")
atexit.register(shutil.rmtree, folder, True)
path = os.path.join(folder, "courier.zip")
with open(path, "wb") as file:
    file.write(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))
sys.path.insert(0, path)
from stackctl.courier.main import main
main()
"""


@dataclass(frozen=True)
class Deployment:
    """A stack, deployed or about to be.

    Attributes:
        stack: What is kept of it on the disk.
        scenario: Of which scenario it is.
        effective: With which settings.
        runtime: Where its services run.
        files: The folder of rendered files by which its services are run.
        why: Why they run there, for people; "" where nobody chose.
    """

    stack: Stack
    scenario: Scenario
    effective: Effective
    runtime: Runtime
    files: str = "bundle"
    why: str = ""

    @classmethod
    def recorded(cls, stack: Stack) -> Self:
        """A stack as it was deployed last.

        Raises:
            UserError: It never was, or by another version of stackctl.
        """
        manifest = stack.require_manifest()
        scenario = scenarios.load(manifest.scenario, stack.home.scenarios)
        effective = Effective(stack.settings(manifest), {})
        return cls(stack, scenario, effective, choice.runtime_of(manifest))

    @classmethod
    def chosen(cls, stack: Stack, scenario: Scenario, effective: Effective) -> Self:
        """A stack as it is to be: where it is already, else where it best runs.

        Raises:
            UserError: Its data is on another runtime than the one that is asked for.
            MachineError: The runtime cannot be used here.
        """
        choice_ = choice.choose(stack, scenario, effective)
        return cls(stack, scenario, effective, choice_.runtime, why=str(choice_))

    @property
    def name(self) -> str:
        """The stack's name."""
        return self.stack.name

    @property
    def servers(self) -> list[str]:
        """Its services that are MLflow itself, each as often as it is there."""
        return self.settings.each(self.scenario.servers)

    @property
    def backend(self) -> BackendStore:
        """Its backend store, of which it is the reach."""
        return BACKENDS[self.scenario.backend]

    @property
    def artifacts(self) -> ArtifactStore:
        """Its artifact store, likewise."""
        return ARTIFACTS[self.scenario.artifacts]

    @property
    def has_database_elsewhere(self) -> bool:
        """Its runs are in a database that somebody else runs."""
        return self.scenario.backend_kind.service in self.settings.elsewhere

    def keeps(self, path: str) -> bool:
        """A path below the artifact root is the backend store's own, and no artifact."""
        return self.backend.keeps(path)

    @property
    def secrets(self) -> SecretFolder:
        """Its secrets."""
        return self.stack.secrets

    @property
    def addresses(self) -> Addresses:
        """Where it is reached from outside."""
        return Addresses(self.scenario, self.settings)

    @property
    def settings(self) -> Settings:
        """The effective settings."""
        return self.effective.settings

    @cached_property
    def host(self) -> Host:
        """The machine as its files name it."""
        return self.runtime.host(self.stack, self.scenario, self.effective)

    @property
    def _rendering(self) -> Rendering:
        return self.runtime.rendering(self.scenario, self.effective, self.host)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.stack.data(self.settings.data)

    @property
    def root(self) -> str:
        """Below which its experiments have their artifacts."""
        return locations.root(self.scenario, self.settings, self.data)

    def render(self) -> Bundle:
        """Everything that it needs, as files.

        Raises:
            UserError: A service lacks a setting that it needs.
            MachineError: The machine lacks what a service needs.
        """
        host = replace(self.host, extra=self._extra())
        return self.runtime.rendering(self.scenario, self.effective, host).bundle()

    def _extra(self) -> str:
        """The text of the user's own Compose file; what is deployed has a copy of it.

        Raises:
            BadSetting: It cannot be read.
        """
        named = self.settings.extra.compose
        if not named:
            return ""
        try:
            path = self.stack.home.path / Path(named).expanduser()
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            source = self.effective.sources.get("extra.compose", "default")
            raise BadSetting("extra.compose", named, source, f"it cannot be read: {why}") from None

    def start(self, timeout: float, progress: Progress, only: Collection[str] = ()) -> None:
        """Have services run that do not, by the files in the stack's folder.

        Args:
            timeout: Seconds for them to become ready.
            progress: Told of each.
            only: These; all where it is empty.

        Raises:
            NotReady: One did not start.
        """
        described = self.runtime.described(self.stack)
        wanted = [service for service in described if not only or service.name in only]
        observed = self.runtime.observe(self.stack)
        if observed.unsettled(service.name for service in wanted):
            steps = service_steps(described, observed, [service.name for service in wanted])
            self.runtime.apply(self.stack, wanted, steps, timeout=timeout, progress=progress)

    def within(self, service: str, template: str) -> AbstractContextManager[Pipe]:
        """Run a script where `service` runs."""
        return self.runtime.within(self.stack, service, self._rendering.script(service, template))

    @contextmanager
    def courier(self, verb: str, **job: Any) -> Iterator[Pipe]:
        """Run a courier beside the stores, which reads and writes bytes.

        Raises:
            MachineError: It cannot be started, or says why it failed.
        """
        server = self.scenario.server
        text = self._rendering.script(server, "courier.sh")
        words = ["python3", "-P", "-c", _BOOT]
        stack = replace(self.stack, files=self.files)
        with self.runtime.beside(stack, server, text, words) as pipe:
            source = _source()
            pipe.stdin.write(f"{len(source)}\n".encode() + source)
            pipe.stdin.write(json.dumps({"verb": verb, **job}).encode() + b"\n")
            pipe.stdin.flush()
            yield pipe

    def ask(self, verb: str, **job: Any) -> dict[str, Any]:
        """What a courier answers that takes nothing but its job."""
        with self.courier(verb, **job) as pipe:
            # Its input stays open meanwhile: where that ends, so does the courier.
            answer = pipe.stdout.read()
        return dict(json.loads(answer))


@cache
def _source() -> bytes:
    """The package `stackctl.courier`, as a zip file that Python can import from."""
    folder = Path(inspect.getfile(courier)).parent
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("stackctl/__init__.py", "")
        for path in sorted(folder.glob("*.py")):
            archive.write(path, f"stackctl/courier/{path.name}")
    return packed.getvalue()
