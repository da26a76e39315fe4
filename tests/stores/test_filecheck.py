"""What a file store would lose on its way is named before it goes."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stackctl.stores.filecheck import unreadable
from stackctl.stores.files import census

RUN = "a" * 32
OTHER = "b" * 32
OF_RUN = "run_id: {}\nexperiment_id: '1'\nstatus: 3\nstart_time: 1\nartifact_uri: x\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file store with one of everything."""
    root = tmp_path / "mlruns"
    for number, name in (("0", "Default"), ("1", "mine"), (".trash/2", "gone")):
        write(root / number / "meta.yaml", f"experiment_id: '{number[-1]}'\nname: {name}\n")
    for run in (RUN, OTHER):
        write(root / "1" / run / "meta.yaml", OF_RUN.format(run))
        write(root / "1" / run / "metrics" / "train" / "loss", "1 0.5 0\n2 nan 1\n3 0.1 2\n")
        write(root / "1" / run / "params" / "depth", "7")
        write(root / "1" / run / "artifacts" / "meta.yaml", "of the user: [")
    write(root / "1" / "models" / "m-1" / "meta.yaml", "model_id: m-1\n")
    write(root / "1" / "traces" / "tr-1" / "trace_info.yaml", "trace_id: tr-1\n")
    write(root / "models" / "penguins" / "meta.yaml", "name: penguins\n")
    write(root / "models" / "penguins" / "version-1" / "meta.yaml", "version: 1\n")
    write(root / "notes" / "todo.txt", "somebody's own")
    return root


def test_a_whole_store_has_nothing_to_tell(root: Path) -> None:
    assert list(unreadable(root)) == []


def emptied(path: Path) -> None:
    path.write_text("")


def cut(path: Path) -> None:
    path.write_text(path.read_text()[:60])


@pytest.mark.parametrize(
    ("place", "spoil", "said"),
    [
        (f"1/{RUN}/meta.yaml", emptied, "it is empty"),
        (f"1/{RUN}/meta.yaml", cut, "it says nothing of status, start_time"),
        (f"1/{RUN}/meta.yaml", Path.unlink, "it is missing"),
        (f"1/{RUN}/meta.yaml", lambda p: p.write_text("a: [b"), "while parsing"),
        (f"1/{RUN}/meta.yaml", lambda p: p.write_text("- a"), "it is no list of names and values"),
        (f"1/{RUN}/meta.yaml", lambda p: p.write_bytes(b"\xff\xfe"), "codec can't decode"),
        ("1/meta.yaml", Path.unlink, "it is missing"),
        (".trash/2/meta.yaml", lambda p: p.write_text("name: gone"), "nothing of experiment_id"),
        (f"1/{RUN}/metrics/train/loss", lambda p: p.write_text("1 0.5 0\n2 x\n"), "line 2 is no"),
        (f"1/{RUN}/metrics/train/loss", lambda p: p.write_text("1 2 3 4\n"), "line 1 is no point"),
        ("1/models/m-1/meta.yaml", emptied, "it is empty"),
        ("1/traces/tr-1/trace_info.yaml", Path.unlink, "it is missing"),
        ("models/penguins/meta.yaml", emptied, "it is empty"),
        ("models/penguins/version-1/meta.yaml", Path.unlink, "it is missing"),
    ],
)
def test_what_cannot_be_read_is_named(
    root: Path, place: str, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(root / place)
    ((path, why),) = unreadable(root)
    assert path == root / place
    assert said in why
    assert "\n" not in why


APPLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "


@pytest.mark.parametrize(
    ("place", "content", "said"),
    [
        (f"1/{RUN}/params/._depth", APPLE, "none of the params"),
        (f"1/{RUN}/params/.DS_Store", b"\x00\x00\x00\x01Bud1", "none of the params"),
        (f"1/{RUN}/params/depth~", b"6", "none of the params"),
        (f"1/{RUN}/params/.depth.swp", b"b0VIM", "none of the params"),
        (f"1/{RUN}/metrics/train/._loss", APPLE, "none of the metrics"),
        (f"1/{RUN}/tags/Thumbs.db", b"", "none of the tags"),
        ("1/tags/#note#", b"", "none of the tags"),
        ("1/models/m-1/params/._a", APPLE, "none of the params"),
        ("1/traces/tr-1/request_metadata/.DS_Store", b"", "none of the request_metadata"),
        ("models/penguins/tags/.DS_Store", b"", "none of the tags"),
        ("models/penguins/version-1/tags/a~", b"", "none of the tags"),
        (f"1/{RUN}/params/latin", "für".encode("latin-1"), "codec can't decode"),
        (os.fsdecode(f"1/{RUN}/tags/f\xfcr".encode("latin-1")), b"", "its name is no Unicode"),
        ("models/penguins/aliases/best", b"one", "it names no version"),
        ("1/models/m-1/metrics/loss", b"1 0.5 0\n", "line 1 is no point"),
        ("1/datasets/d1/meta.yaml", b"", "it is empty"),
        (f"1/{RUN}/inputs/i1/meta.yaml", b"a: [", "while parsing"),
        (f"1/{RUN}/outputs/m-1/meta.yaml", b"", "it is empty"),
        ("1/traces/tr-1/assessments/a1.yaml", b"", "it is empty"),
    ],
)
def test_a_file_that_is_not_of_mlflow_is_named(
    root: Path, place: str, content: bytes, said: str
) -> None:
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    ((found, why),) = unreadable(root)
    assert found == path
    assert said in why


@pytest.mark.parametrize(
    ("place", "content"),
    [
        (f"1/{RUN}/params/._depth", b"7"),
        (f"1/{RUN}/params/.hidden", b"7"),
        (f"1/{RUN}/tags/mlflow.note.content", "für\n".encode()),
        ("models/penguins/aliases/best", b"1"),
        ("1/models/m-1/metrics/loss", b"1 0.5 0 r\n1 0.5 0 r data digest\n"),
        (f"1/{RUN}/artifacts/.DS_Store", b""),
    ],
)
def test_a_file_of_mlflow_is_none_of_these(root: Path, place: str, content: bytes) -> None:
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    assert list(unreadable(root)) == []


def test_a_run_with_a_name_of_its_own_is_one(root: Path) -> None:
    write(root / "1" / "my-run" / "meta.yaml", "run_id: my-run\n")
    (root / "1" / "my-run" / "params").mkdir()
    ((path, _),) = unreadable(root)
    assert path.parent.name == "my-run"


def test_the_same_point_is_counted_once(root: Path) -> None:
    before = census(root).counts["metrics"]
    path = root / "1" / RUN / "metrics" / "train" / "loss"
    path.write_text(path.read_text() + "1 0.5 0\n1 0.5 0\n4 0.5 0")
    assert census(root).counts["metrics"] == before + 1
