"""A machine of the imagination: what runs there, what stores hold, what happens, what goes wrong.

It behaves as a real one does where an operation could tell the difference: a database that does
not run cannot be counted, a server with another password than the database's is of no use, data
go with their volume. What is real in these tests is everything that an operation keeps on the
disk: manifest, rendered files, secrets, archives.
"""

import copy
import os
import re
import shutil
import signal
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from stackctl import scenarios
from stackctl.errors import MachineError, UserError
from stackctl.observed import ServiceState
from stackctl.render import Service
from stackctl.runtimes.base import Obstacle
from stackctl.scenario import Scenario
from stackctl.stack import Home, Manifest, Stack
from stackctl.versions import older

# The mode and the content of each; a folder has none.
Files = dict[str, tuple[int, bytes | None]]
LABEL = "imagined"
EXTERNAL = "the object store of somebody else"


def schema(release: str) -> str:
    """The schema that an MLflow release makes."""
    return f"schema of {release}"


@cache
def _scenario(name: str) -> Scenario:
    return scenarios.load(name)


def files(folder: Path) -> Files:
    """Every file and folder below a folder, with its mode and its content.

    Without the locks: who holds one says nothing of what is there.
    """
    found: Files = {}

    def look(place: str, below: str) -> None:
        for entry in os.scandir(place):
            if entry.name == "lock":
                continue
            mode = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
            if entry.is_dir(follow_symlinks=False):
                found[below + entry.name] = mode, None
                look(entry.path, f"{below}{entry.name}/")
                continue
            if entry.is_symlink():
                found[below + entry.name] = mode, os.readlink(entry.path).encode()  # noqa: PTH115
                continue
            with open(entry.path, "rb") as file:  # noqa: PTH123 - a third of the time
                found[below + entry.name] = mode, file.read()

    look(str(folder), "")
    return found


def put_back(folder: Path, wanted: Files) -> None:
    """Have a folder hold these files and nothing else."""
    there = files(folder)
    for name in sorted(there, reverse=True):
        if there[name] == wanted.get(name):
            continue
        if there[name][1] is not None:
            (folder / name).unlink()
        elif name not in wanted:
            shutil.rmtree(folder / name)
    for name, (mode, content) in sorted(wanted.items()):
        if content is None:
            (folder / name).mkdir(exist_ok=True)
        elif there.get(name) != (mode, content):
            (folder / name).write_bytes(content)
        if there.get(name) != (mode, content):
            (folder / name).chmod(mode)


class Killed(BaseException):
    """What ends an operation in these tests where SIGKILL would end its process."""


@dataclass
class Database:
    """A backend store.

    Attributes:
        tables: The locations in its rows, by table; other columns are of no interest here.
        revision: Of its schema; "" for files.
        passwords: What it asks for, and MLflow's login in it, by the secret's name.
        deleted: What clients deleted in MLflow.
        sealed: What MLflow has encrypted: of each kind, the name of each and the key that opens it.
            An API key that opens without any was encrypted with MLflow's default passphrase.
        users: Those of MLflow's login beside its administrator, and what each may do.
        login_revision: Of its tables.
        claim: Which stack serves it, where it is somebody else's.
        says: What it tells of itself, where that is not as one that is good and empty.
    """

    tables: dict[str, list[str]] = field(default_factory=dict)
    revision: str = ""
    passwords: dict[str, str] = field(default_factory=dict)
    deleted: list[dict[str, object]] = field(default_factory=list)
    sealed: dict[str, dict[str, str]] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    login_revision: str = "now"
    claim: str = ""
    says: dict[str, object] = field(default_factory=dict)


@dataclass
class World:
    """What there is. What belongs to a stack is found by the stack's mark, as on a daemon.

    Attributes:
        projects: The name of each stack, by mark.
        services: By mark and name.
        volumes: Likewise.
        networks: Likewise.
        knows: The secrets that a service read when it started, by mark and service.
        databases: By mark, those in a data folder by what lies in it.
        artifacts: Likewise: content by name, as in an archive.
        programs: Images that are there.
        brings: The MLflow release of an image whose name does not say it.
        taken: Ports on which somebody listens who has nothing to do with stackctl.
    """

    projects: dict[str, str] = field(default_factory=dict)
    services: dict[str, dict[str, ServiceState]] = field(default_factory=dict)
    volumes: dict[str, set[str]] = field(default_factory=dict)
    networks: dict[str, set[str]] = field(default_factory=dict)
    knows: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    databases: dict[str, Database] = field(default_factory=dict)
    artifacts: dict[str, dict[str, bytes]] = field(default_factory=dict)
    programs: set[str] = field(default_factory=set)
    brings: dict[str, str] = field(default_factory=dict)
    taken: dict[int, Obstacle] = field(default_factory=dict)


Kept = tuple[World, Files]


@dataclass
class _Hurdle:
    """What a test has put in the way of something."""

    what: str
    left: int
    act: Callable[[], None]


class Machine:
    """The machine, and the story of what happened on it.

    Attributes:
        home: The folder that tests keep and bring back together with the world.
        world: What there is now.
        story: Everything that was done or asked, in order.
        done: What of it changed something.
        ailing: Services whose next so many starts end unhealthy.
        says: The version that servers tell; None: their own.
        left_behind: All that there was when somebody was killed, as `kills` asked for.
        elsewhere: What other buckets hold that a stack's keys open, by folder and path below.
    """

    def __init__(self, home: Home) -> None:
        self.world = World()
        self.story: list[str] = []
        self.done: list[str] = []
        self.ailing: dict[str, int] = {}
        self.says: str | None = None
        self.home, self._hurdles = home, list[_Hurdle]()
        self.left_behind: Kept | None = None
        self.elsewhere: dict[str, dict[str, bytes]] = {}

    # What happens, and what goes wrong.

    def happens(self, what: str) -> None:
        """Something is about to be changed."""
        self.done.append(what)
        self.asked(what)

    def asked(self, what: str) -> None:
        """Something is about to be looked at."""
        self.story.append(what)
        for hurdle in self._hurdles:
            if what.startswith(hurdle.what):
                hurdle.left -= 1
                if hurdle.left == 0:
                    hurdle.act()

    def forget_the_story(self) -> None:
        """What comes is another story, in which nothing goes wrong."""
        self.story.clear()
        self.done.clear()
        self.ailing.clear()
        self._hurdles.clear()
        self.left_behind = None

    def fails(self, what: str, error: BaseException, *, at: int = 1) -> None:
        """Raise an error in place of what begins so, where that is about to happen again."""

        def act() -> None:
            raise error

        self._hurdles.append(_Hurdle(what, at, act))

    def interrupts(self, what: str = "", *, at: int = 1) -> None:
        """Ctrl-C at that moment, which goes unheard where signals are ignored."""
        self._hurdles.append(_Hurdle(what, at, lambda: signal.raise_signal(signal.SIGINT)))

    def kills(self, what: str = "", *, at: int = 1) -> None:
        """SIGKILL at that moment; `revive` has what was left behind."""

        def act() -> None:
            self.left_behind = self.keep()
            raise Killed(what)

        self._hurdles.append(_Hurdle(what, at, act))

    def keep(self) -> Kept:
        """A copy of all that there is, on the disk too."""
        return copy.deepcopy(self.world), files(self.home.path)

    def revive(self, kept: Kept) -> None:
        """Have all that was there then, and nothing that happened since."""
        world, wanted = kept
        self.world = copy.deepcopy(world)
        put_back(self.home.path, wanted)
        self.forget_the_story()

    def ails(self, service: str) -> bool:
        """A service that starts now does not become healthy."""
        left = self.ailing.get(service, 0)
        self.ailing[service] = left - 1
        return left > 0

    # What stores hold.

    def database(self, stack: Stack) -> Database:
        """A stack's backend store.

        Raises:
            MachineError: It cannot be reached: it does not run, or there is none.
        """
        return self._database(Known.of(stack))

    def artifacts(self, stack: Stack) -> dict[str, bytes]:
        """A stack's artifact store.

        Raises:
            MachineError: Likewise.
        """
        return self._artifacts(Known.of(stack))

    def lose(self, stack: Stack, volume: str) -> None:
        """A volume, with the data in it."""
        known = Known.of(stack)
        self.world.volumes.get(known.mark, set()).discard(volume)
        if volume == known.scenario.backend_kind.service:
            self.world.databases.pop(known.mark, None)
        if volume == "objects":
            self.world.artifacts.pop(known.mark, None)

    def logs(self, stack: Stack, root: str, runs: int = 2) -> None:
        """A client logs so many runs, each with an artifact."""
        there = self.database(stack).tables.setdefault("runs", [])
        artifacts = self.artifacts(stack)
        for number in range(len(there), len(there) + runs):
            there.append(f"{root}/0/run{number}/artifacts")
            artifacts[f"artifacts/0/run{number}/artifacts/model.bin"] = f"model {number}".encode()

    def _database(self, known: "Known") -> Database:
        service, chosen = known.scenario.backend_kind.service, known.manifest.settings
        if service and chosen["database"] == "external":
            # It runs wherever it is, whoever asks.
            return self.world.databases.setdefault(str(chosen["database_name"]), Database())
        if service and not self._runs(known.mark, service):
            raise MachineError(f"service {service} does not answer")
        place = known.mark if service else known.label.read_text()
        if place not in self.world.databases:
            raise MachineError(f"there is no database of stack {known.manifest.name}")
        return self.world.databases[place]

    def _artifacts(self, known: "Known") -> dict[str, bytes]:
        if known.scenario.artifact_kind.local:
            place = known.label.read_text()
        elif known.manifest.settings["object_store"] == "external":
            place = EXTERNAL
        elif self._runs(known.mark, "objects"):
            place = known.mark
        else:
            raise MachineError("service objects does not answer")
        return self.world.artifacts.setdefault(place, {})

    # What services are to each other.

    def begins(self, stack: Stack, service: Service) -> bool:
        """A service starts, and does what it does then; whether it becomes healthy."""
        world, known = self.world, Known.of(stack)
        secrets = {name: stack.secrets.read(name).reveal() for name in known.manifest.secrets}
        world.knows[known.mark, service.name] = secrets
        if service.name == known.scenario.backend_kind.service:
            own = {name: value for name, value in secrets.items() if name.startswith(service.name)}
            world.databases.setdefault(known.mark, Database(passwords=own))
        if self.ails(service.name):
            return False
        if service.name not in known.scenario.servers:
            return True
        if known.scenario.uses_data_folder and not known.folder_is_known:
            place = f"folder {len(world.artifacts)}"
            known.folder.joinpath(LABEL).write_text(place)
            world.artifacts[place] = {}
            if known.scenario.backend_kind.local:
                world.databases[place] = Database()
        if self._refusal(known, service.name, service.program):
            return False
        # MLflow's own start: schema, first experiment, first user.
        held = self._database(known)
        if known.scenario.backend_kind.takes_rows:
            held.revision = schema(self.release(service.program))
        held.tables.setdefault("experiments", ["Default"])
        if "admin_password" in secrets:
            held.passwords.setdefault("admin_password", secrets["admin_password"])
        return True

    def refusal(self, stack: Stack, server: str, program: str) -> str:
        """Why a server that runs a program cannot serve; "" where it can."""
        return self._refusal(Known.of(stack), server, program)

    def _refusal(self, known: "Known", server: str, program: str) -> str:
        secrets = self.world.knows[known.mark, server]
        try:
            held = self._database(known)
            self._artifacts(known)
        except MachineError as error:
            return error.message
        mine = f"{known.scenario.backend_kind.service}_password"
        if mine in secrets and held.passwords[mine] != secrets[mine]:
            return "the database refused the password"
        objects = self.world.knows.get((known.mark, "objects"), {})
        if objects and objects["s3_secret_key"] != secrets["s3_secret_key"]:
            return "the bucket refused the keys"
        if held.revision and older(self.release(program), held.revision.removeprefix("schema of ")):
            return "a newer MLflow made the data"
        return ""

    def release(self, program: str) -> str:
        """The MLflow release that an image brings."""
        found = re.search(r":(\d+\.\d+\.\d+)", program)
        return self.world.brings.get(program) or (found[1] if found else "")

    def require_no_server(self, stack: Stack, what: str) -> None:
        """Nobody writes while `what` is done: an operation that forgets it would lose data."""
        known = Known.of(stack)
        running = [name for name in known.scenario.servers if self._runs(known.mark, name)]
        assert not running, f"{what} while {', '.join(running)} runs"

    def _runs(self, mark: str, service: str) -> bool:
        found = self.world.services.get(mark, {}).get(service)
        return found is not None and found.settled


def mark(stack: Stack) -> str:
    """What tells a stack from every other, as on a daemon: a copy of its home has the same."""
    try:
        return Known.of(stack).mark
    except UserError:
        return stack.owner


@dataclass(frozen=True)
class Known:
    """What is on the disk of a stack that was deployed."""

    manifest: Manifest
    scenario: Scenario
    folder: Path

    @classmethod
    def of(cls, stack: Stack) -> "Known":
        """As it is now.

        Raises:
            UserError: The stack was never deployed.
        """
        path = stack.folder / "manifest.json"
        key = str(path), path.read_bytes() if path.is_file() else b""
        if key not in _KNOWN:
            manifest = stack.require_manifest()
            folder = stack.data(str(manifest.settings["data"]))
            _KNOWN[key] = cls(manifest, _scenario(manifest.scenario), folder)
        return _KNOWN[key]

    @property
    def mark(self) -> str:
        """The stack's."""
        return self.manifest.owner

    @property
    def folder_is_known(self) -> bool:
        """A server of the stack has used the data folder."""
        return (self.folder / LABEL).is_file()

    @property
    def label(self) -> Path:
        """What tells the data folder from every other, and goes where it goes.

        Raises:
            MachineError: No server has used the folder.
        """
        if not self.folder_is_known:
            raise MachineError(f"there is nothing in {self.folder}")
        return self.folder / LABEL


_KNOWN: dict[tuple[str, bytes], Known] = {}
