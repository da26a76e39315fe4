"""Tracking stores that stackctl did not make: a folder `mlruns/`, a database in one file."""

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, ClassVar
from urllib.parse import unquote, urlsplit

import yaml

from stackctl.courier import fitting
from stackctl.courier.counting import counted
from stackctl.courier.misfit import Misfit, Shape
from stackctl.courier.relocation import mover
from stackctl.errors import UserError
from stackctl.stores import filecheck, files, filetexts, sqlite, tree
from stackctl.stores.base import Census, Entry, Note

# What MLflow makes for a run, and for logged models and traces (3.17.2).
_ARTIFACTS = re.compile(r"[0-9a-f]{32}|models|traces")
# Where a server keeps what is uploaded to its skill registry (3.18.0,
# mlflow/store/tracking/skill_registry/artifact_paths.py).
_SKILLS = "skills"
# The name of the database on its way.
DATABASE = "mlruns.db"


@dataclass(frozen=True)
class Located:
    """An experiment's artifacts.

    Attributes:
        name: Of the folder that will hold them.
        location: As the store says it.
        folder: Where they are; None where that is no folder of this machine.
    """

    name: str
    location: str
    folder: Path | None

    def relocations(self, root: str) -> list[tuple[str, str]]:
        """Pairs of each form that the location may have in a row, and the new one."""
        forms = [self.location]
        if (path := _local(self.location, Path())) is not None and path.is_absolute():
            forms += [str(path), f"file://{path}", path.as_uri()]
        return [(form.rstrip("/"), f"{root}/{self.name}") for form in dict.fromkeys(forms)]


class Foreign:
    """A store that is only read.

    Attributes:
        path: The folder, or the file.
        database: What its one file is called on the way to a courier; "" for a folder.
    """

    database: ClassVar[str] = ""

    def __init__(self, path: Path, artifacts: Path | None = None) -> None:
        """`artifacts` is the folder that has one for each experiment, where it was moved."""
        self.path, self._artifacts = path, artifacts

    def census(self) -> Census:
        """What it holds now."""
        raise NotImplementedError

    def unreadable(self) -> Iterable[tuple[Path, str]]:
        """Each file of it that cannot be read, and why; without these it is counted and copied."""
        return ()

    def misfits(self, database: str, root: str) -> Iterable[Misfit]:
        """What of it a database cannot hold, once its artifacts are below `root`."""
        raise NotImplementedError

    def relocations(self, root: str) -> list[tuple[str, str]]:
        """Of all its experiments whose artifacts are on this machine; see `Located`."""
        return [pair for place in self.located if place.folder is not None
                for pair in place.relocations(root)]  # fmt: skip

    @cached_property
    def located(self) -> list[Located]:
        """Where each experiment's artifacts are; a place of two experiments comes once."""
        raise NotImplementedError

    def packed(self, scratch: Path) -> Iterator[tuple[Entry, BinaryIO]]:
        """Everything but artifacts, as files; `scratch` has room for a copy."""
        raise NotImplementedError

    def artifacts(self, note: Note) -> Iterator[tuple[Entry, Path]]:
        """Every artifact, by its path below the folders that `Located` names."""
        missing = [p.folder for p in self.located if p.folder and not p.folder.is_dir()]
        if missing:
            note(
                f"{len(missing)} experiments have no artifacts where they say, as {missing[0]}; "
                "where they were moved: --artifacts FOLDER"
            )
        for place in self.located:
            if place.folder is None or not place.folder.is_dir():
                continue
            for child in sorted(place.folder.iterdir()):
                # A user may have given an experiment a folder with much else in it.
                if not _ARTIFACTS.fullmatch(child.name) or not child.is_dir():
                    continue
                if tree.below(child, self._left_out):
                    continue
                for entry, path in tree.walk(child, note):
                    name = f"{child.name}/{entry.path}"
                    if self._is_artifact(place, name):
                        below = f"{place.name}/{name}"
                        yield Entry(below, entry.size, entry.folder, entry.modified), path

    def _is_artifact(self, place: Located, path: str) -> bool:
        return True

    @cached_property
    def _left_out(self) -> frozenset[Path]:
        return frozenset()


class Folder(Foreign):
    """A file store, as `mlflow` makes it below `mlruns/`."""

    def census(self) -> Census:
        """As the folders tell."""
        return files.census(self.path, self._left_out)

    def unreadable(self) -> Iterable[tuple[Path, str]]:
        """File by file."""
        return self._unreadable

    @cached_property
    def _unreadable(self) -> list[tuple[Path, str]]:
        return list(filecheck.unreadable(self.path))

    @cached_property
    def _left_out(self) -> frozenset[Path]:
        return frozenset(filecheck.left_out(path) for path, _ in self._unreadable)

    def misfits(self, database: str, root: str) -> Iterable[Misfit]:
        """File by file."""
        return filetexts.misfits(self.path, database, self.relocations(root), self._left_out)

    @cached_property
    def located(self) -> list[Located]:
        """Beside the runs, unless an experiment was given another place."""
        found = []
        for beside in self._experiments():
            location = str(_read(beside / "meta.yaml").get("artifact_location") or beside)
            found.append(Located(beside.name, location, self._folder(beside, location)))
        return _once(found)

    def packed(self, scratch: Path) -> Iterator[tuple[Entry, BinaryIO]]:
        """The store's own files."""
        found, without = tree.walk(self.path, lambda _: None), self._left_out
        yield from tree.opened(
            (e, p) for e, p in found if files.keeps(e.path) and not tree.below(p, without)
        )

    def _folder(self, beside: Path, location: str) -> Path | None:
        if self._artifacts is not None:
            return self._artifacts / beside.name
        said = _local(location, self.path.parent)
        # A folder that was copied says where it was.
        stale = said is not None and not (said.is_dir() and said.name != beside.name)
        return beside if stale else said

    def _is_artifact(self, place: Located, path: str) -> bool:
        beside = place.folder is not None and place.folder.is_relative_to(self.path)
        return not (beside and files.keeps(f"{place.name}/{path}"))

    def _experiments(self) -> list[Path]:
        metas = [*self.path.glob("*/meta.yaml"), *self.path.glob(".trash/*/meta.yaml")]
        return [m.parent for m in sorted(metas) if not tree.below(m, self._left_out)]


class SQLite(Foreign):
    """A database in one file, as `mlflow` makes it where no server is."""

    database: ClassVar[str] = DATABASE

    def census(self) -> Census:
        """As the database itself counts."""
        with closing(self._connect()) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {name for (name,) in rows}
            if "alembic_version" not in tables:
                raise UserError(
                    f"{self.path} is no database of MLflow: it has no table alembic_version",
                    hint="name the file that MLflow uses, which is often mlflow.db",
                )
            counts, closed = counted(
                tables, lambda query, own: connection.execute(query, own).fetchone()[0]
            )
            (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return Census(counts, str(revision), self.path.stat().st_size, closed)

    def misfits(self, database: str, root: str) -> Iterable[Misfit]:
        """As the database itself finds them."""
        with closing(self._connect()) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {name: _shape(connection, name) for (name,) in rows.fetchall()}
            moved = mover(self.relocations(root))
            yield from fitting.in_tables(
                database, "sqlite", tables, lambda query: connection.execute(query), moved
            )

    @cached_property
    def located(self) -> list[Located]:
        """As each experiment says, or below the folder that was named."""
        with closing(self._connect()) as connection:
            query = "SELECT experiment_id, artifact_location FROM experiments"
            rows = [(str(number), place) for number, place in connection.execute(query) if place]
        return _once([Located(number, place, self._folder(place)) for number, place in rows])

    def artifacts(self, note: Note) -> Iterator[tuple[Entry, Path]]:
        """Also what a server keeps beside those of experiments: the content of uploaded skills."""
        yield from super().artifacts(note)
        uploaded = self.census().counts.get("uploaded_skill_versions")
        folder = self._artifacts / _SKILLS if self._artifacts else None
        if uploaded and (folder is None or not folder.is_dir()):
            note(
                f"the content of {uploaded} uploaded skill versions is not copied: name the "
                f"folder in which their server keeps {_SKILLS}/ with --artifacts FOLDER"
            )
        elif uploaded and folder:
            for entry, path in tree.walk(folder, note):
                below = f"{_SKILLS}/{entry.path}"
                yield Entry(below, entry.size, entry.folder, entry.modified), path

    def packed(self, scratch: Path) -> Iterator[tuple[Entry, BinaryIO]]:
        """A copy, as of one moment."""
        with sqlite.copied(self.path, scratch) as path, path.open("rb") as file:
            yield Entry(DATABASE, os.fstat(file.fileno()).st_size), file

    def _folder(self, location: str) -> Path | None:
        if self._artifacts is not None:
            return self._artifacts / location.rstrip("/").rpartition("/")[2]
        return _local(location, self.path.parent)

    def _connect(self) -> sqlite3.Connection:
        return sqlite.connect(self.path, "ro")


def open_folder(path: Path, artifacts: Path | None) -> Folder:
    """A file store; `artifacts` as for `open_uri`.

    Raises:
        UserError: There is none in the folder.
    """
    path = path.absolute()
    for folder in (path, path / "mlruns"):
        if any(folder.glob("*/meta.yaml")) or any(folder.glob(".trash/*/meta.yaml")):
            return Folder(folder, artifacts and artifacts.absolute())
    near = next(
        (db for db in (path / "mlflow.db", path.parent / "mlflow.db") if db.is_file()), None
    )
    raise UserError(
        f"folder {path} holds no runs of MLflow",
        hint=f"there is a database beside it: --from-uri sqlite:///{near}"
        if near
        else "name the folder that MLflow made, which is often mlruns",
    )


def open_uri(uri: str, artifacts: Path | None) -> Foreign:
    """A store by the address that its clients use.

    Args:
        uri: `sqlite:///FILE`, or a folder.
        artifacts: The folder that holds the artifacts of each experiment by its number, where that
            is not what the store says.

    Raises:
        UserError: It cannot be read, or there is nothing.
    """
    scheme, colon, rest = uri.partition("://")
    if not colon:
        return open_folder(Path(uri), artifacts)
    if scheme == "file":
        return open_folder(Path(unquote(urlsplit(uri).path)), artifacts)
    if scheme.partition("+")[0] != "sqlite" or not rest.startswith("/"):
        # The rest may hold a password.
        raise UserError(
            f"a store at {scheme}: cannot be copied",
            hint="give sqlite:///FILE; of a server's database make a stack first, "
            "by a backup of its own",
        )
    path = Path(rest[1:].partition("?")[0]).absolute()
    if not path.is_file():
        raise UserError(f"there is no database {path}", hint="is the path right?")
    store = SQLite(path, artifacts and artifacts.absolute())
    try:
        store.census()
    except sqlite3.Error as error:
        busy = getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
        raise UserError(
            f"database {path} cannot be read: {error}",
            hint="another program writes to it and keeps it locked: end what uses it, and run the "
            "same command again"
            if busy
            else "is it a database of MLflow?",
        ) from error
    return store


def _shape(connection: sqlite3.Connection, table: str) -> Shape:
    found = connection.execute("SELECT name, type, pk FROM pragma_table_info(?)", [table])
    columns = [(name, kind.upper(), key) for name, kind, key in found]

    def of(*kinds: str) -> tuple[str, ...]:
        return tuple(name for name, kind, _ in columns if kind.startswith(kinds))

    return Shape(
        of("VARCHAR", "TEXT"), tuple(name for name, _, key in columns if key),
        of("INTEGER", "BIGINT"), of("FLOAT"), of("JSON"),
    )  # fmt: skip


def _once(found: Iterable[Located]) -> list[Located]:
    return list({place.location.rstrip("/"): place for place in found}.values())


def _local(location: str, base: Path) -> Path | None:
    """The folder that a location means; None where it is not of this machine."""
    parts = urlsplit(location)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    return None if parts.scheme else base / location


def _read(path: Path) -> dict[str, object]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(
            f"{path} cannot be read: {' '.join(str(error).split())}",
            hint="mend the file, or take the experiment's folder away",
        ) from error
    return values if isinstance(values, dict) else {}
