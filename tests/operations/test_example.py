"""Running an example: its parts one after another, in a folder that vanishes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from stackctl.client.examples import EXAMPLES
from stackctl.client.process import Client
from stackctl.errors import ExampleFailed, UserError
from stackctl.operations.example import run


@dataclass
class Reader:
    """A client that reads what it is told to run, and ends as `codes` say."""

    codes: list[int]
    age: str = ""
    ran: list[str] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)

    def run(self, words: list[str], folder: Path) -> int:
        """A notebook is executed into the file that is named last."""
        self.ran.append(" ".join(Path(word).name for word in words))
        self.folders.append(folder)
        assert (folder / words[0]).is_file()
        if words[0].endswith("run_notebook.py"):
            Path(words[2]).write_text("executed")
        return self.codes.pop(0)


def take(client: Reader, name: str, **options: Any) -> list[str]:
    """Run an example; returns what was told."""
    told: list[str] = []
    found = EXAMPLES[name]
    run(found, found.parts, "x", cast("Client", client), **{"output": None, **options},
        progress=told.append)  # fmt: skip
    return told


def test_parts_run_in_their_order_beside_each_other() -> None:
    client = Reader([0] * 5)
    told = take(client, "remote")
    assert client.ran[0] == "train.py"
    assert client.ran[1].startswith("compare_regression.py --alpha 1")
    assert client.ran[-1] == "register_iris.py"
    assert len(set(client.folders)) == 1
    assert not client.folders[0].exists()
    assert told[0] == "train.py …"
    assert told[1].startswith("train.py: done in ")


def test_executed_notebooks_are_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    client, output = Reader([0] * 3), tmp_path / "new" / "folder"
    take(client, "penguins", output=output)
    assert client.ran[0] == ("run_notebook.py 1_Run_and_track_experiments.ipynb "
                             "1_Run_and_track_experiments.ipynb")  # fmt: skip
    assert {path.read_text() for path in output.iterdir()} == {"executed"}
    assert len(list(output.iterdir())) == 3


def test_what_fails_is_the_last_and_its_notebook_is_kept(tmp_path: Path) -> None:
    client = Reader([0, 3], age="the client is older")
    with pytest.raises(ExampleFailed, match="ended with exit code 3 on stack 'x'") as failure:
        take(client, "penguins", output=tmp_path)
    assert failure.value.hint == "the client is older"
    assert len(client.ran) == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_one_that_was_ended_by_a_signal_says_so() -> None:
    with pytest.raises(ExampleFailed, match="was ended by signal 9"):
        take(Reader([-9]), "quickstart")


def test_a_folder_that_holds_something_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "mine.ipynb").write_text("precious")
    client = Reader([])
    with pytest.raises(UserError, match="is there already"):
        take(client, "penguins", output=tmp_path)
    assert client.ran == []
