"""The examples that ship in `examples/`: what there is, and copies of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

from stackctl import resources
from stackctl.errors import UnknownName, UserError

NOTEBOOK_RUNNER = "run_notebook.py"


@dataclass(frozen=True)
class Part:
    """A program or a notebook of an example.

    Attributes:
        path: Below the example's folder.
        arguments: Given to a program.
    """

    path: str
    arguments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return Path(self.path).stem

    @property
    def is_notebook(self) -> bool:
        """It is a notebook, and no program."""
        return self.path.endswith(".ipynb")

    def __str__(self) -> str:
        return " ".join([Path(self.path).name, *self.arguments])


@dataclass(frozen=True)
class Example:
    """One lesson.

    Attributes:
        name: What users call it.
        folder: Below `examples/`.
        shows: What there is to learn, in a line.
        parts: In the order in which they run.
        packages: Distributions that it needs.
    """

    name: str
    folder: str
    shows: str
    parts: tuple[Part, ...]
    packages: tuple[str, ...] = ("mlflow",)

    def part(self, name: str) -> tuple[Part, ...]:
        """The parts of that name; one program may run several times.

        Raises:
            UnknownName: There is none.
        """
        found = tuple(part for part in self.parts if part.name == name)
        if not found:
            raise UnknownName(f"part of example {self.name}", name, [p.name for p in self.parts])
        return found


def _regression(l1_ratio: str, max_iter: str) -> Part:
    words = ("--alpha", "1", "--l1-ratio", l1_ratio, "--intercept", "true", "--max-iter", max_iter)
    return Part("compare_regression.py", words)


EXAMPLES = {
    example.name: example
    for example in (
        Example(
            "quickstart", "quickstart",
            "one run: a parameter, a metric with three values, a folder of files",
            (Part("mlflow_tracking.py"),),
        ),
        Example(
            "penguins", "palmer_penguins",
            "three notebooks: track, register and serve, search and tune",
            tuple(
                Part(f"notebooks/{name}.ipynb")
                for name in ("1_Run_and_track_experiments", "2_Deploy_and_manage",
                             "3_Tips_and_tricks")
            ),
            ("mlflow", "scikit-learn", "pandas", "matplotlib", "nbclient", "ipykernel"),
        ),
        Example(
            "remote", "remote_tracking",
            "autologging, a model downloaded and loaded, runs compared, a model registered",
            (
                Part("train.py"),
                _regression("0", "500"), _regression("1", "100"), _regression("0.5", "100"),
                Part("register_iris.py"),
            ),
            ("mlflow", "scikit-learn"),
        ),
    )
}  # fmt: skip


def find(name: str) -> Example:
    """The example `name`.

    Raises:
        UnknownName: There is none; the error names the nearest.
    """
    if name not in EXAMPLES:
        raise UnknownName("example", name, list(EXAMPLES))
    return EXAMPLES[name]


def copy(example: Example, folder: Path) -> None:
    """Copy an example's files into `folder`, which is new or empty.

    Raises:
        UserError: Something is there already.
    """
    refuse_full(folder)
    _copy(resources.folder("examples") / example.folder, folder)


def copy_notebook_runner(folder: Path) -> None:
    """Copy the program that executes a notebook into `folder`."""
    source = resources.folder("examples") / NOTEBOOK_RUNNER
    (folder / NOTEBOOK_RUNNER).write_bytes(source.read_bytes())


def refuse_full(folder: Path) -> None:
    """Refuse a folder in which something would be overwritten.

    Raises:
        UserError: It is a file, or has something in it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already", hint="name a new folder or an empty one")


def _copy(source: Traversable, target: Path) -> None:
    if not source.is_dir():
        target.write_bytes(source.read_bytes())
        return
    target.mkdir(parents=True, exist_ok=True)
    for item in source.iterdir():
        if item.name not in ("__pycache__", ".ipynb_checkpoints"):
            _copy(item, target / item.name)


def titles(parts: Sequence[Part]) -> str:
    """The names of parts, each once."""
    return ", ".join(dict.fromkeys(part.name for part in parts))
