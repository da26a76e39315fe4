"""What a file store would lose on its way is named before it goes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stackctl.errors import UserError
from stackctl.stores.filecheck import refuse_unreadable, unreadable
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
    refuse_unreadable(root)


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
    with pytest.raises(UserError, match=r"1 files of .* the first is") as refusal:
        refuse_unreadable(root)
    assert str(root / place) in refusal.value.message
    assert "\n" not in refusal.value.message


def test_of_many_the_first_are_listed(root: Path) -> None:
    for number in range(30):
        write(root / "1" / f"{number:032d}" / "meta.yaml", "")
    with pytest.raises(UserError) as refusal:
        refuse_unreadable(root)
    lines = refusal.value.details.splitlines()
    assert (len(lines), lines[-1]) == (21, "and 10 more")


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
