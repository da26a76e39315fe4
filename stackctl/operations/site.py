"""A stack as those see it who carry its data: where its stores are, and how to reach them."""

import inspect
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from stackctl import courier, locations
from stackctl.operations.preflight import refuse_half_done, refuse_half_rotated
from stackctl.operations.use import refuse_stopped
from stackctl.render import Bundle, Place, render, script
from stackctl.runtimes.base import Progress, Runtime
from stackctl.runtimes.pipe import Pipe
from stackctl.scenario import Scenario
from stackctl.settings import Effective, Settings
from stackctl.stack import Manifest, Stack

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
class Site:
    """One stack, whose lock the caller holds.

    Attributes:
        files: The folder of rendered files by which its services are run.
    """

    stack: Stack
    scenario: Scenario
    effective: Effective
    runtime: Runtime
    files: str = "bundle"

    @property
    def settings(self) -> Settings:
        """Those with which it was deployed."""
        return self.effective.settings

    @cached_property
    def place(self) -> Place:
        """Where its bundle is."""
        return self.runtime.place(self.stack, self.scenario, self.effective)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.stack.data(self.settings.data)

    @property
    def root(self) -> str:
        """Below which its experiments have their artifacts."""
        return locations.root(self.scenario, self.settings, self.data)

    def start(self, timeout: float, progress: Progress) -> Bundle:
        """Have every service run, where one does not; returns by which bundle they do.

        Raises:
            NotReady: One did not start.
        """
        bundle = render(self.scenario, self.effective, self.place)
        if not self.runtime.observe(self.stack).runs(bundle):
            self.runtime.start(self.stack, bundle, timeout=timeout, progress=progress)
        return bundle

    def within(self, service: str, template: str) -> AbstractContextManager[Pipe]:
        """Run a script where `service` runs."""
        text = script(self.scenario, self.effective, self.place, service, template)
        return self.runtime.within(self.stack, service, text)

    @contextmanager
    def courier(self, verb: str, **job: Any) -> Iterator[Pipe]:
        """Run a courier beside the stores, which reads and writes bytes.

        Raises:
            MachineError: It cannot be started, or says why it failed.
        """
        server = self.scenario.server
        text = script(self.scenario, self.effective, self.place, server, "courier.sh")
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


def require_whole(site: Site) -> Manifest:
    """The manifest of a stack that runs and that no interrupted operation has half changed.

    Raises:
        UserError: It is a copy, or half changed.
        NotRunning: Not everything of it runs.
    """
    manifest = site.stack.require_manifest()
    site.stack.refuse_copy(manifest)
    refuse_half_done(manifest)
    refuse_half_rotated(site.stack)
    refuse_stopped(site.stack, manifest, site.runtime)
    return manifest


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
