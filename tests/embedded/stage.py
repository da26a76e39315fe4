"""A stack's folder with services of a few words of shell, for the real guards and supervisord."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from stackctl import scenarios
from stackctl.render import Service
from stackctl.render.processes import ProcessRendering
from stackctl.runtimes.embedded.supervision import Supervision
from tests.bundles import effective, process_host
from tests.contract.driving import until

SLEEP = "exec sleep 1000"


@dataclass
class Stage:
    """Everything below `root`, where every process of the stage is too.

    Attributes:
        root: What services find in `$STAGE`.
        folder: The stack's.
        services: What each is, in the order in which they start.
    """

    root: Path
    folder: Path
    services: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def run(self) -> Path:
        """The folder in which guards and supervisord work."""
        return self.folder / "run"

    @property
    def supervision(self) -> Supervision:
        """The stack's keeper and supervisord."""
        return Supervision(self.run, self.folder / "logs")

    def service(self, name: str, script: str = SLEEP, **description: Any) -> None:
        """Describe a service, the words of a bash."""
        self.services[name] = {
            "digest": "1",
            "image": "bash",
            "after": [],
            "command": ["bash", "-c", script],
            "environment": {"PATH": os.defpath, "STAGE": str(self.root)},
            **description,
        }
        self.write()

    def write(self) -> None:
        """The bundle, with the real supervisord.conf."""
        folder = self.folder / "bundle" / "processes"
        folder.mkdir(parents=True, exist_ok=True)
        self.run.mkdir(mode=0o700, exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        for name, description in self.services.items():
            (folder / f"{name}.toml").write_text(_toml(description), encoding="utf-8")
        services = [
            Service(name, "bash", description["digest"], {}, description.get("one_shot", False))
            for name, description in self.services.items()
        ]
        machine = replace(process_host(), uid=os.geteuid())
        rendering = ProcessRendering(
            scenarios.load("scenario-3b"), effective("scenario-3b"), machine
        )
        conf = rendering.text("supervisord.conf.j2", services=services)
        (self.folder / "bundle" / "supervisord.conf").write_text(conf)

    def processes(self) -> list[psutil.Process]:
        """Every process whose current folder is on the stage, there or deleted."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if f"{process.cwd()}/".startswith(f"{self.root}/"):
                    found.append(process)
        return found

    def of(self, service: str) -> set[int]:
        """The processes of a service, without its guard."""
        return {process.pid for process in self.processes() if _cwd(process).name == service}

    def note(self, service: str) -> dict[str, Any]:
        """What the guard wrote down; {} where nothing was started yet."""
        with suppress(OSError):
            return dict(json.loads((self.run / f"{service}.json").read_text()))
        return {}

    def main(self, service: str, starts: int = 1) -> int:
        """The main process of a service, once it was started so often and runs."""
        until(lambda: self.note(service).get("starts") == starts and self.of(service), seconds=15,
              what=f"start {starts} of {service}")  # fmt: skip
        return int(self.note(service)["pid"])

    def supervisord(self) -> int:
        """The process of supervisord."""
        found = []
        for process in self.processes():
            with suppress(psutil.Error):
                if "supervisor.supervisord" in process.cmdline():
                    found.append(process.pid)
        (only,) = found
        return only

    def guard(self, service: str) -> int:
        """The process of a service's guard."""
        return int(self.supervision.processes()[service]["pid"])

    def told(self, name: str) -> list[str]:
        """The words that services wrote into a file of the stage."""
        path = self.root / name
        return path.read_text().split() if path.exists() else []

    @contextmanager
    def guarded(self, service: str) -> Iterator["subprocess.Popen[str]"]:
        """A service with its guard, and no supervisord."""
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "stackctl.runtimes.embedded.guard", service],
            cwd=self.run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            stdin=subprocess.DEVNULL, env={"PATH": os.defpath, "LEAK": "of whoever deploys"},
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            # What it left has its output open.
            self.clear()
            process.communicate()

    def ended(self) -> bool:
        """Nothing of the stage runs."""
        return not self.processes()

    def clear(self) -> None:
        """Kill whatever is left, however it came to be."""
        end = time.monotonic() + 20
        while left := self.processes():
            for process in left:
                with suppress(psutil.Error):
                    process.send_signal(signal.SIGKILL)
            assert time.monotonic() < end, left
            time.sleep(0.02)


def _cwd(process: psutil.Process) -> Path:
    with suppress(psutil.Error):
        return Path(process.cwd())
    return Path("/")


def _toml(values: dict[str, Any]) -> str:
    plain = {key: value for key, value in values.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    for table, entries in tables.items():
        lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in entries.items())]
    return "\n".join([*lines, ""])
