"""What a promotion copies from: a stack of stackctl's, or what MLflow alone has made."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from stackctl.operations.origins import ForeignOrigin, StackOrigin, named
from tests.operations.machine import files
from tests.operations.stage import Stage
from tests.operations.test_promote import into

RUN = "a" * 32


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder `mlruns`, as a client makes it who names no server."""
    folder = tmp_path / "laptop" / "mlruns"
    run = folder / "0" / RUN
    (run / "artifacts").mkdir(parents=True)
    (folder / "0" / "meta.yaml").write_text("experiment_id: '0'\nname: Default\n")
    of_run = f"run_id: {RUN}\nexperiment_id: '0'\nstatus: 3\nstart_time: 1\n"
    (run / "meta.yaml").write_text(of_run)
    (run / "artifacts" / "model.bin").write_text("weights")
    return folder


@pytest.fixture
def database(tmp_path: Path, folder: Path) -> Path:
    """A database in one file, whose artifacts are in that folder."""
    path = tmp_path / "laptop" / "mlflow.db"
    for meta in folder.rglob("meta.yaml"):
        meta.unlink()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE alembic_version (version_num)")
        db.execute("INSERT INTO alembic_version VALUES ('0584bdc529eb')")
        db.execute("CREATE TABLE experiments (experiment_id, name, artifact_location)")
        db.execute("INSERT INTO experiments VALUES (0, 'Default', ?)", (str(folder / "0"),))
        db.execute("CREATE TABLE runs (experiment_id)")
        db.execute("INSERT INTO runs VALUES (0)")
    return path


# Which one is meant.


def test_one_thing_of_three_is_named(stage: Stage, folder: Path) -> None:
    stage.deployed("scenario-3b", "name=x")
    assert isinstance(named(stage.home, "x", None, None, None), StackOrigin)
    assert isinstance(named(stage.home, None, folder, None, None), ForeignOrigin)
    assert isinstance(named(stage.home, None, None, str(folder), None), ForeignOrigin)
    assert named(stage.home, "x", None, None, None).name == "stack 'x'"
    assert named(stage.home, None, folder.parent, None, None).name == str(folder)


def test_nothing_named_is_the_only_stack(stage: Stage) -> None:
    with stage.refuses(2, "no stack was deployed from"):
        named(stage.home, None, None, None, None)
    stage.deployed("scenario-3b", "name=x")
    assert named(stage.home, None, None, None, None).name == "stack 'x'"
    stage.deployed("scenario-3b", "name=y", "port=5001")
    with stage.refuses(2, "x, y"):
        named(stage.home, None, None, None, None)


def test_more_than_one_is_refused(stage: Stage, folder: Path) -> None:
    stage.deployed("scenario-3b", "name=x")
    for stack, path, uri in (("x", folder, None), ("x", None, "sqlite:///a"), (None, folder, "a")):
        with stage.refuses(2, "more than one thing to copy is named"):
            named(stage.home, stack, path, uri, None)


def test_a_stack_knows_where_its_artifacts_are(stage: Stage, tmp_path: Path) -> None:
    """Also where there is none."""
    for _ in range(2):
        with stage.refuses(2, "--artifacts is for --from-folder and --from-uri"):
            named(stage.home, None, None, None, tmp_path)
        stage.deployed("scenario-3b", "name=x")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("sqlite:///nothing.db", "there is no database"),
        ("postgresql://me:geheim@somewhere/db", "a store at postgresql: cannot be copied"),
        ("sqlite:///text.db", "is it a database of MLflow?"),
        ("sqlite:///other.db", "it has no table alembic_version"),
        ("empty", "holds no runs of MLflow"),
        ("file:///empty", "holds no runs of MLflow"),
    ],
)
def test_what_is_no_store_of_mlflow_is_refused(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, said: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "empty").mkdir(parents=True)
    (elsewhere / "text.db").write_text("no database" * 100)
    with closing(sqlite3.connect(elsewhere / "other.db")) as db:
        db.execute("CREATE TABLE a (b)")
    monkeypatch.chdir(elsewhere)
    uri = uri.replace("///", f"///{elsewhere}/")
    with stage.refuses(2, said) as refusal:
        named(stage.home, None, None, uri, None)
    assert "geheim" not in str(refusal.value)


def test_a_database_that_is_in_use_is_told_from_one_that_is_none(
    stage: Stage, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackctl.stores.sqlite._LOCK_SECONDS", 0)
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with stage.refuses(2, "database is locked", "end what uses it"):
            named(stage.home, None, None, f"sqlite:///{database}", None)
    named(stage.home, None, None, f"sqlite:///{database}", None)


def test_a_folder_with_a_run_that_cannot_be_read_is_refused(stage: Stage, folder: Path) -> None:
    """MLflow would leave it out, and say nothing."""
    (folder / "0" / RUN / "meta.yaml").write_text("")
    origin = named(stage.home, None, folder, None, None)
    with stage.refuses(2, f"{RUN}/meta.yaml: it is empty"):
        into(stage, origin, "scenario-5", "name=y")


# What it gives.


def test_a_folder_becomes_a_stack(stage: Stage, folder: Path) -> None:
    before = files(folder.parent)
    origin = named(stage.home, None, folder, None, None)
    found = into(stage, origin, "scenario-5", "name=y")
    assert "foreign-rows-out" in stage.machine.story
    assert stage.database("y").tables["runs"] == ["a folder"]
    assert stage.artifacts("y") == {f"artifacts/0/{RUN}/artifacts/model.bin": b"weights"}
    assert (found.counts["runs"], found.bytes, found.artifacts) == (1, 7, 1)
    assert files(folder.parent) == before
    # It is nobody's stack, and needs no lock.
    assert not origin.is_stack(stage.home.stack("y"))
    with origin.held(), origin.held():
        assert origin.measure(print) == 7


def test_a_database_becomes_a_stack_whatever_its_schema_is(stage: Stage, database: Path) -> None:
    origin = named(stage.home, None, None, f"sqlite:///{database}", None)
    found = into(stage, origin, "scenario-3b", "name=y")
    assert stage.database("y").tables["runs"] == ["mlruns.db"]
    assert stage.artifacts("y") == {f"artifacts/0/{RUN}/artifacts/model.bin": b"weights"}
    assert found.counts["runs"] == 1


def test_a_stack_is_itself_and_no_other(stage: Stage) -> None:
    origin = StackOrigin(stage.deployed("scenario-3b", "name=x"))
    assert origin.is_stack(stage.home.stack("x"))
    assert not origin.is_stack(stage.home.stack("y"))
