"""This machine, as tests see it through the kernel and the files of a stack."""

import contextlib
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
import sqlalchemy

from stackctl.runtimes.embedded import folders
from stackctl.runtimes.embedded.components import SYSTEM_FOLDER
from stackctl.runtimes.embedded.supervision import Supervision
from stackctl.settings import Settings
from stackctl.stack import Home, Manifest, Stack
from tests.contract.driving import Deployed
from tests.contract.machine import MARK, Life, Machine
from tests.embedded import debian

KEEPER = "stackctl.runtimes.embedded.keeper"
# What only the machine's package manager brings, by scenario: each product is used by one.
PROGRAMS = {
    "scenario-3b-mysql": (debian.mariadb, debian.adminer),
    "scenario-5-mysql": (debian.mysql,),
}


class EmbeddedMachine(Machine):
    """This machine, without a Docker daemon."""

    checks: ClassVar[int] = 1

    def __init__(self) -> None:
        # When a stack is gone, so is the file that says which ports and folders were its own.
        self._manifests: dict[Path, Manifest] = {}

    @property
    def variables(self) -> dict[str, str]:
        return {"DOCKER_HOST": "unix:///nonexistent/docker.sock", "STACKCTL_RUNTIME": "embedded"}

    def equipment(self, scenario: str) -> dict[str, str]:
        try:
            folders = [str(programs()) for programs in PROGRAMS.get(scenario, ())]
        except debian.ProgramsUnavailable as reason:
            pytest.skip(f"no programs for {scenario}: {reason}")
        return {"PATH": ":".join([*folders, os.environ["PATH"]])}

    def lives(self, stack: Stack) -> dict[str, Life]:
        """Of those that live: a service that was killed is missing until it is started again."""
        self._manifest(stack)
        return {
            service: (note["pid"], begin)
            for service, note in _notes(stack).items()
            if (begin := _begin(note["pid"], note["since"]))
        }

    def running(self, stack: Stack) -> list[str]:
        # SeaweedFS makes some outside of its own folder.
        sockets = [
            str(path) for port in self._ports(stack) for path in Path("/tmp").glob(f"*-{port}.sock")
        ]
        return [*self._alive(stack), *sorted(sockets)]

    def _alive(self, stack: Stack) -> list[str]:
        found = [f"process {p.pid}: {' '.join(_words(p))}" for p in self.processes(stack)]
        listening = {
            connection.laddr.port
            for connection in psutil.net_connections("tcp")
            if connection.laddr and connection.status == psutil.CONN_LISTEN
        }
        return found + [f"port {port}" for port in sorted(self._ports(stack) & listening)]

    def _ports(self, stack: Stack) -> set[int]:
        manifest = self._manifest(stack)
        if manifest is None:
            return set()
        inner = set(manifest.kept["ports"].values())
        # Tests choose the ports that a stack uses; a default one may well be somebody else's.
        published = {
            value for key, value in manifest.settings.items()
            if key.endswith("port") and value and value != Settings.model_fields[key].default
        }  # fmt: skip
        return published | inner | {port + 10000 for port in inner}

    def kept(self, stack: Stack) -> list[str]:
        folders = [self._system_folder(stack), *self.volumes(stack)]
        return [str(folder) for folder in folders if folder.exists()]

    def volumes(self, stack: Stack) -> list[Path]:
        manifest = self._manifest(stack)
        kept = manifest.kept["volumes"] if manifest else {}
        return [stack.as_of_now(manifest, folder) for folder in kept.values() if manifest]

    def listeners(self, stack: Stack) -> set[str]:
        return {
            connection.laddr.ip
            for process in self.processes(stack)
            for connection in process.net_connections("inet")
            if connection.laddr and not connection.raddr
        }

    def liberties(self, stack: Stack) -> list[str]:
        closed = [folders.run(stack), folders.logs(stack), *self.volumes(stack)]
        found = [f"{folder}: open to others" for folder in closed if folder.stat().st_mode & 0o077]
        for process in self.processes(stack):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.terminal():
                    found.append(f"{_words(process)}: a terminal")
        for service in {"postgres", "mysql"} & set(_notes(stack)):
            if psutil.Process(_notes(stack)[service]["pid"]).uids().real == 0:
                found.append(f"{service}: root")
        return found

    def told(self, stack: Stack) -> dict[str, str]:
        """What started the services was given no secret, and another user's folder has none."""
        places = {}
        for process in self.processes(stack):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.cwd() == str(folders.run(stack)):
                    words = " ".join(_words(process))
                    places[f"environment of {words}"] = str(process.environ())
        for path in (self._system_folder(stack) / "run").rglob("*"):
            if path.is_file():
                places[str(path)] = path.read_text(errors="replace")
        return places

    def ask_service(self, stack: Stack, service: str, statement: str) -> list[list[str]]:
        kinds = {"postgres": "postgresql+psycopg2", "mysql": "mysql+pymysql"}
        password = stack.secrets.read(f"{service}_password").reveal()
        port = stack.require_manifest().kept["ports"][service]
        url = sqlalchemy.URL.create(kinds[service], "mlflow", password, "127.0.0.1", port, "mlflow")
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        with engine.begin() as connection:
            found = connection.exec_driver_sql(statement.replace("%", "%%"))
            return [[str(value) for value in row] for row in found] if found.returns_rows else []

    def initialising(self, stack: Stack, service: str) -> bool:
        manifest = self._manifest(stack)
        if manifest is None or service not in self.lives(stack):
            return False
        return (Path(manifest.kept["volumes"][service]) / ".initialising").exists()

    def kill(self, stack: Stack, service: str) -> None:
        os.kill(_notes(stack)[service]["pid"], signal.SIGKILL)

    def shut_down(self, stack: Stack) -> None:
        Supervision(folders.run(stack), folders.logs(stack)).stop()
        # A socket may be left: SeaweedFS ends without waiting for its admin server.
        assert (left := self._alive(stack)) == [], left
        for service in _notes(stack):
            text = (folders.logs(stack) / f"{service}.log").read_text(errors="replace")
            ended = re.findall(rf"stackctl: {service} ended \((-?\d+)\)", text)[-1]
            assert ended in ("0", str(-signal.SIGTERM)), (service, ended, text[-500:])

    def boot(self, deployed: Deployed) -> None:
        deployed.deploy()

    def purge(self, stack: Stack) -> None:
        """Ask its keeper to end everything; then kill what is left."""
        keepers = [p for p in self.processes(stack) if KEEPER in _words(p)]
        for process in keepers:
            process.terminate()
        psutil.wait_procs(keepers, timeout=60)
        end = time.monotonic() + 10
        while (left := self.processes(stack)) and time.monotonic() < end:
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=1)
        for folder in (self._system_folder(stack), *self.volumes(stack)):
            shutil.rmtree(folder, ignore_errors=True)

    def reap(self) -> None:
        for process in psutil.process_iter(["cmdline", "cwd"]):
            if KEEPER not in (process.info["cmdline"] or ()):
                continue
            folder = Path(process.info["cwd"] or "/").parent
            owner = re.match(rf"{MARK}(\d+)-", folder.name)
            if owner and not psutil.pid_exists(int(owner[1])):
                home = folder.parent.parent
                self.purge(Home(home).stack(folder.name))
                shutil.rmtree(home, ignore_errors=True)

    def processes(self, stack: Stack) -> list[psutil.Process]:
        """Every process of the stack: where it is, what it was told, or its environment says so."""
        return list(self._processes(stack))

    def _processes(self, stack: Stack) -> Iterator[psutil.Process]:
        own = [f"{folder}/" for folder in (stack.folder, self._system_folder(stack))]
        data = [f"{folder}/" for folder in self.volumes(stack)]
        data.append(f"{stack.home.path}/data/{stack.name}/")
        for process in psutil.process_iter(["cwd", "cmdline", "environ"]):
            info = process.info
            where = [f"{info['cwd']}/", *(f"{word}/" for word in info["cmdline"] or ())]
            what = [*where, *(f"{value}/" for value in (info["environ"] or {}).values())]
            # A client's environment may name the data, too.
            if _any_in(own, what) or _any_in(data, where):
                yield process

    def _manifest(self, stack: Stack) -> Manifest | None:
        if (manifest := stack.manifest()) is not None:
            self._manifests[stack.folder] = manifest
        return self._manifests.get(stack.folder)

    def _system_folder(self, stack: Stack) -> Path:
        manifest = self._manifest(stack)
        return SYSTEM_FOLDER / (stack.owner if manifest is None else manifest.owner)


def _notes(stack: Stack) -> dict[str, dict[str, Any]]:
    """What the guards wrote down of the main processes that they started."""
    return {path.stem: json.loads(path.read_text()) for path in folders.run(stack).glob("*.json")}


def _begin(pid: int, noted: float) -> float:
    """When the process began; 0 where it has ended, whoever has its number now."""
    with contextlib.suppress(psutil.NoSuchProcess):
        begin = psutil.Process(pid).create_time()
        return begin if abs(begin - noted) < 10 else 0.0
    return 0.0


def _words(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


def _any_in(marks: list[str], texts: list[str]) -> bool:
    return any(mark in text for mark in marks for text in texts)
