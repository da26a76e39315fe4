"""Stores in memory, and the courier that reaches them."""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from stackctl.courier.fitting import misfits
from stackctl.courier.misfit import Misfit
from stackctl.courier.places import Experiment, Located, places, plain
from stackctl.deployment import Deployment
from stackctl.errors import MachineError
from stackctl.settings import Settings
from stackctl.stack import Stack
from stackctl.stores import ArtifactStore, BackendStore
from stackctl.stores.base import Census, Entry, Extent, Note, Ranges
from stackctl.stores.credentials import Credential
from stackctl.stores.reach import Reach
from stackctl.versions import older
from tests.operations.machine import LABEL, Database, Machine, schema

DUMP = "memory.json"
_CHANGING = (
    "rows-in",
    "accounts-in",
    "upgrade",
    "gc-delete",
    "password-change",
    "password-login",
    "keys-rewrap",
)
Pairs = Sequence[Sequence[str]]


class MemoryBackend(BackendStore):
    """A backend store, in the place of a real one of its kind."""

    def __init__(self, machine: Machine, real: BackendStore) -> None:
        self.kind, self._machine, self._real = real.kind, machine, real
        self.dumped = (DUMP,)

    def flaw(self, entry: Entry, content: BinaryIO, counts: Ranges) -> str:
        return "" if entry.path == DUMP and content.read(1) == b"{" else "is nothing of a database"

    def tracking_uri(self, data: Path) -> str:
        return self._real.tracking_uri(data)

    def client_environment(self, data: Path) -> dict[str, str]:
        return self._real.client_environment(data)

    def census(self, reach: Reach) -> Census:
        self._machine.asked("count rows")
        held = self._machine.database(_stack(reach))
        counts = {table: len(rows) for table, rows in held.tables.items()}
        sealed = {kind: len(named) for kind, named in held.sealed.items()}
        counts = {"experiments": 1, "runs": 0, **counts}
        return Census(counts, held.revision, len(_told(held)), sealed)

    def is_in(self, data: Path) -> bool:
        return (data / LABEL).is_file()

    def dump(self, reach: Reach, note: Note) -> Iterator[tuple[Entry, BinaryIO]]:
        self._machine.asked("dump database")
        content = _told(self._machine.database(_stack(reach)))
        yield Entry(DUMP, len(content)), io.BytesIO(content)

    def load(self, reach: Reach, entries: Iterable[tuple[Entry, BinaryIO]], revision: str) -> None:
        stack = _stack(reach)
        for entry, content in entries:
            self._machine.happens("load database")
            self._machine.require_no_server(stack, "a database is replaced")
            assert entry.path == DUMP
            found = json.load(content)
            assert found["revision"] == revision
            held = self._machine.database(stack)
            held.tables, held.revision = found["tables"], found["revision"]
            held.sealed = found["sealed"]
            held.passwords |= found["users"]

    def misfits(
        self, reach: Reach, database: str, relocations: Sequence[tuple[str, str]]
    ) -> Iterable[Misfit]:
        self._machine.asked("misfits")
        tables = _moved(self._machine.database(_stack(reach)).tables, relocations)
        for place in tables.get("runs", []):
            yield from misfits(database, "runs", {"artifact_uri": place}, "a run")

    @contextmanager
    def rows(
        self, reach: Reach, relocations: Sequence[tuple[str, str]], cut_for: str = ""
    ) -> Iterator[BinaryIO]:
        self._machine.asked(f"rows out{' cut for ' * bool(cut_for)}{cut_for}")
        held = self._machine.database(_stack(reach))
        tables = _moved(held.tables, relocations)
        yield io.BytesIO(json.dumps({"tables": tables, "sealed": held.sealed}).encode())

    def settle(self, reach: Reach, relocations: Sequence[tuple[str, str]]) -> None:
        self._machine.happens("settle database")
        with reach.courier("settle", relocations=relocations) as pipe:
            assert pipe.stdout.read()

    def elsewhere(self, reach: Reach, own: Sequence[str]) -> list[dict[str, Any]]:
        return list(reach.ask("elsewhere", roots=list(own))["places"])

    def credentials(self, settings: Settings) -> list[Credential]:
        return self._real.credentials(settings)


class MemoryArtifacts(ArtifactStore):
    """An artifact store, in the place of a real one of its kind."""

    def __init__(self, machine: Machine, real: ArtifactStore) -> None:
        self.kind, self._machine, self._real = real.kind, machine, real

    def measure(self, reach: Reach) -> int:
        self._machine.asked("measure artifacts")
        return sum(map(len, self._machine.artifacts(_stack(reach)).values()))

    def extent(self, reach: Reach, location: str, folders: Sequence[str]) -> Extent | None:
        if any(f"{location}/{folder}" not in self._machine.elsewhere for folder in folders):
            return None
        there = self._elsewhere(location, folders)
        odd = next((name for name in there if not plain(name)), "")
        return Extent(len(there), sum(map(len, there.values())), odd)

    def beside(
        self, reach: Reach, location: str, folders: Sequence[str], note: Note
    ) -> Iterator[tuple[Entry, BinaryIO]]:
        for name, content in self._elsewhere(location, folders).items():
            yield Entry(name, len(content)), io.BytesIO(content)

    def _elsewhere(self, location: str, folders: Sequence[str]) -> dict[str, bytes]:
        return {
            f"{folder}/{name}": content
            for folder in folders
            for name, content in self._machine.elsewhere[f"{location}/{folder}"].items()
        }

    def paths(self, reach: Reach) -> Iterator[str]:
        self._machine.asked("list artifacts")
        names = sorted(self._machine.artifacts(_stack(reach)))
        return (n.removeprefix("artifacts/") for n in names if n.startswith("artifacts/"))

    def refusal(self, path: str, settings: Settings) -> str:
        return self._real.refusal(path, settings)

    def nests(self, settings: Settings) -> bool:
        return self._real.nests(settings)

    def dump(self, reach: Reach, note: Note) -> Iterator[tuple[str, Entry, BinaryIO]]:
        self._machine.asked("dump artifacts")
        if self.kind == "folder":
            yield "artifacts", Entry("0", folder=True), io.BytesIO()
        for name, content in sorted(self._machine.artifacts(_stack(reach)).items()):
            section, _, path = name.partition("/")
            yield section, Entry(path, len(content)), io.BytesIO(content)

    def load(
        self, reach: Reach, entries: Iterable[tuple[str, Entry, BinaryIO]], *, skip: bool = False
    ) -> None:
        there = self._machine.artifacts(_stack(reach))
        for section, entry, content in entries:
            name = f"{section}/{entry.path}"
            if entry.folder or (skip and len(there.get(name, b"")) == entry.size):
                continue
            self._machine.happens(f"load {name}")
            there[name] = content.read()

    def clear(self, reach: Reach) -> None:
        self._machine.happens("clear artifacts")
        self._machine.require_no_server(_stack(reach), "artifacts are deleted")
        self._machine.artifacts(_stack(reach)).clear()

    def credentials(self, settings: Settings) -> list[Credential]:
        return self._real.credentials(settings)


class MemoryCourier:
    """What programs beside the stores of one stack answer."""

    def __init__(self, machine: Machine, stack: Stack, program: str) -> None:
        """`program` is what the stack's server runs, and so the courier too."""
        self._machine, self._stack, self._mlflow = machine, stack, machine.release(program)

    def answer(self, told: bytes) -> bytes:
        """What comes out, for what goes in: source, a line of JSON, and bytes.

        Raises:
            MachineError: As a courier complains.
        """
        given = io.BytesIO(told)
        size = int(given.readline())
        assert given.read(size).startswith(b"PK"), "the courier's source comes first"
        job = json.loads(given.readline())
        verb = job.pop("verb")
        if verb in _CHANGING:
            self._machine.happens(verb)
        elif verb != "settle":
            self._machine.asked(verb)
        do = cast(Callable[..., Any], getattr(self, f"_{verb.replace('-', '_')}"))
        answer = do(given.read(), **job)
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    @property
    def _held(self) -> Database:
        return self._machine.database(self._stack)

    def _release(self, _: bytes, revision: str | None = None) -> dict[str, Any]:
        made_by = (revision or "").removeprefix("schema of ")
        return {"mlflow": self._mlflow, "known": not older(self._mlflow, made_by)}

    def _upgrade(self, _: bytes) -> dict[str, Any]:
        self._machine.require_no_server(self._stack, "a schema is migrated")
        before, self._held.revision = self._held.revision, schema(self._mlflow)
        return {"before": before, "after": self._held.revision}

    def _settle(self, _: bytes, relocations: Pairs) -> dict[str, Any]:
        held = self._held
        held.tables = _moved(held.tables, relocations)
        held.revision = held.revision and schema(self._mlflow)
        if "admin_password" in held.passwords:
            held.passwords["admin_password"] = self._stack.secrets.read("admin_password").reveal()
        return {}

    def _rows_in(self, rows: bytes) -> dict[str, Any]:
        held, found = self._held, json.loads(rows)
        held.tables, held.sealed = found["tables"], found["sealed"]
        return {"sent": self._digest(b"")}

    def _foreign_rows_out(self, packed: bytes, **job: Any) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            runs = [n for n in tar.getnames() if re.fullmatch("[^/]+/[0-9a-f]{32}/meta.yaml", n)]
        found = [job["database"]] if job["database"] else ["a folder"] * len(runs)
        tables = {"experiments": ["Default"], "runs": found}
        return json.dumps({"tables": tables, "sealed": {}}).encode()

    def _digest(self, _: bytes) -> dict[str, Any]:
        return {
            table: {"rows": len(rows), "digest": hashlib.sha256(repr(rows).encode()).hexdigest()}
            for table, rows in self._held.tables.items()
        }

    def _elsewhere(self, _: bytes, roots: list[str]) -> dict[str, Any]:
        # Rows of a foreign store say which it was, and no place.
        things = [Located("runs", *_named(place)) for place in self._held.tables.get("runs", [])
                  if place.count("/") >= 3]  # fmt: skip
        experiments = {thing.experiment: Experiment(f"number {thing.experiment}",
                                                    thing.location.partition(f"/{thing.id}/")[0])
                       for thing in things}  # fmt: skip
        return {"places": places(roots, experiments, things)}

    def _gc_list(self, _: bytes, before: int, roots: list[str], bucket: str) -> dict[str, Any]:
        things = [thing for thing in self._held.deleted if cast(int, thing["at"]) < before]
        return {"things": things, "kept": []}

    def _gc_delete(self, _: bytes, **job: Any) -> dict[str, Any]:
        told = self._gc_list(_, **job)
        self._held.deleted = [t for t in self._held.deleted if t not in told["things"]]
        return {**told, "deleted": [thing["id"] for thing in told["things"]]}

    def _password_change(self, _: bytes, old: list[str], new: str) -> dict[str, Any]:
        (name,) = (n for n in ("postgres_password", "mysql_password") if n in self._held.passwords)
        if self._held.passwords[name] not in (new, *old):
            raise MachineError("the database takes none of the passwords that stackctl knows")
        self._held.passwords[name] = new
        return {}

    def _accounts_look(self, _: bytes) -> dict[str, Any]:
        return {"users": len(self._held.users), "revision": self._held.login_revision}

    def _accounts_out(self, _: bytes) -> bytes:
        return json.dumps(self._held.users).encode()

    def _accounts_in(self, rows: bytes) -> dict[str, Any]:
        self._machine.require_no_server(self._stack, "accounts are replaced")
        self._held.users = json.loads(rows)
        return {}

    def _password_taken(self, _: bytes, values: list[str]) -> dict[str, Any]:
        (name,) = (n for n in ("postgres_password", "mysql_password") if n in self._held.passwords)
        return {"taken": [value == self._held.passwords[name] for value in values]}

    def _password_login(self, _: bytes, new: str) -> dict[str, Any]:
        self._held.passwords["admin_password"] = new
        return {}

    def _database_look(self, _: bytes) -> dict[str, Any]:
        held = self._held
        good = {
            "version": "18.1", "tls": True, "only_read": False, "schema": "public",
            "may_create": True, "free": 97, "late": 0.0, "revision": held.revision, "known": True,
            "newest": True, "counts": {"runs": len(held.tables.get("runs", []))},
            "claim": held.claim, "strangers": [],
            "encrypted": {kind: len(rows) for kind, rows in held.sealed.items()},
        }  # fmt: skip
        return good | held.says

    def _database_claim(self, _: bytes, claim: str, whose: str) -> dict[str, Any]:
        if self._held.claim in ("", whose):
            self._held.claim = claim
        return {}

    def _keys_taken(
        self, _: bytes, kind: str, values: list[str], usual: bool = False
    ) -> dict[str, Any]:
        there = list(self._held.sealed.get(kind, {}).values())
        # What opens without any key.
        values = [*values, ""] if usual else values
        return {"taken": [value in there for value in values] if there else []}

    def _keys_rewrap(
        self,
        _: bytes,
        known: dict[str, list[str]],
        new: dict[str, str],
        void: bool = False,
    ) -> dict[str, Any]:
        self._machine.require_no_server(self._stack, "data are encrypted anew")
        lost: dict[str, list[str]] = {}
        for kind, key in new.items():
            usual = [""] if kind == "gateway" else []
            there = self._held.sealed.get(kind, {})
            for name, opener in list(there.items()):
                if opener in [key, *known.get(kind, ()), *usual]:
                    there[name] = key
                    continue
                lost.setdefault(kind, []).append(name)
                if void and kind == "webhook":
                    del there[name]
        return {"lost": lost}

    def _objects_taken(self, _: bytes, bucket: str, keys: Pairs) -> dict[str, Any]:
        known = self._machine.world.knows[self._stack.owner, "objects"]
        right = [known["s3_access_key"], known["s3_secret_key"]]
        return {"taken": [list(pair) == right for pair in keys]}


def _named(location: str) -> tuple[str, str, str]:
    """Id, experiment and location of a run at `…/EXPERIMENT/ID/artifacts`."""
    _, experiment, identity, _ = location.rsplit("/", 3)
    return identity, experiment, location


def _stack(reach: Reach) -> Stack:
    assert isinstance(reach, Deployment)
    return reach.stack


def _told(held: Database) -> bytes:
    users = {name: held.passwords[name] for name in ("admin_password",) if name in held.passwords}
    return json.dumps({"tables": held.tables, "revision": held.revision, "users": users,
                       "sealed": held.sealed}).encode()  # fmt: skip


def _moved(tables: dict[str, list[str]], relocations: Pairs) -> dict[str, list[str]]:
    def moved(place: str) -> str:
        for old, new in relocations:
            if place.startswith(f"{old}/"):
                return new + place.removeprefix(old)
        return place

    return {table: [moved(row) for row in rows] for table, rows in tables.items()}
