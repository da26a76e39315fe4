"""MLflow's file store: one folder for each experiment and run.

Since MLflow 3.13 it is in maintenance mode, and client and server must set
MLFLOW_ALLOW_FILE_STORE=true to use it (seen with 3.17.2).
"""

import json
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from stackctl.courier.counting import OWN
from stackctl.courier.misfit import Misfit
from stackctl.stores import filecheck, filetexts, sqlite, tree
from stackctl.stores.base import BackendStore, Census, Entry, Note
from stackctl.stores.reach import Reach

_TRASH = ".trash/"


class Files(BackendStore):
    """Runs as files below `mlruns/`."""

    kind = "files"

    def tracking_uri(self, data: Path) -> str:
        """The folder itself."""
        return str(data / "mlruns")

    def client_environment(self, data: Path) -> dict[str, str]:
        """The opt-in that MLflow asks for."""
        return {"MLFLOW_ALLOW_FILE_STORE": "true"}

    def prepare(self, data: Path) -> None:
        """Make the experiment `Default`, in which clients log that name none.

        MLflow makes it only together with the folder (3.17.2, mlflow/store/tracking/file_store.py),
        which has to be there before a container can mount it.
        """
        folder = data / "mlruns"
        if any(folder.iterdir()):
            return
        now = int(time.time() * 1000)
        experiment = {
            "artifact_location": str(folder / "0"), "creation_time": now, "experiment_id": "0",
            "last_update_time": now, "lifecycle_stage": "active", "name": "Default",
        }  # fmt: skip
        (folder / "0").mkdir()
        # JSON's strings are YAML's, whatever is in a path.
        lines = [f"{key}: {json.dumps(value)}\n" for key, value in experiment.items()]
        (folder / "0" / "meta.yaml").write_text("".join(lines), encoding="utf-8")

    def read_param(self, data: Path, experiment_id: str, run_id: str, key: str) -> str | None:
        """The content of the parameter's file."""
        path = data / "mlruns" / experiment_id / run_id / "params" / key
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def write_tag(self, data: Path, experiment_id: str, run_id: str, key: str, value: str) -> None:
        """Write the tag's file."""
        folder = data / "mlruns" / experiment_id / run_id / "tags"
        folder.mkdir(exist_ok=True)
        (folder / key).write_text(value, encoding="utf-8")

    def census(self, reach: Reach) -> Census:
        """As the folders tell."""
        return census(reach.data / "mlruns")

    def dump(self, reach: Reach, note: Note) -> Iterator[tuple[Entry, BinaryIO]]:
        """A copy of every file that is no artifact.

        There is no moment for all of them: each is as it is when it is read. MLflow replaces a
        file, or adds lines to it, so that each is a state that was.
        """
        found = tree.walk(reach.data / "mlruns", note)
        yield from tree.opened((e, p) for e, p in found if self.keeps(e.path))
        yield from sqlite.dump(reach.data, [sqlite.LOGIN])

    def load(self, reach: Reach, entries: Iterable[tuple[Entry, BinaryIO]], revision: str) -> None:
        """Write the files; whoever calls has cleared the folder, which is the artifacts' too."""
        sqlite.remove(reach.data / sqlite.LOGIN)
        for entry, content in entries:
            root = reach.data if entry.path == sqlite.LOGIN else reach.data / "mlruns"
            tree.write(root, [(entry, content)])

    def misfits(
        self, reach: Reach, database: str, relocations: Sequence[tuple[str, str]]
    ) -> Iterable[Misfit]:
        """File by file."""
        return filetexts.misfits(reach.data / "mlruns", database, relocations)

    @contextmanager
    def rows(
        self, reach: Reach, relocations: Sequence[tuple[str, str]], cut_for: str = ""
    ) -> Iterator[BinaryIO]:
        """As MLflow's own migration reads the files."""
        job = {"folder": str(reach.data / "mlruns"), "scratch": str(reach.data),
               "cut_for": cut_for}  # fmt: skip
        with reach.courier("files-rows-out", **job, relocations=relocations) as pipe:
            yield pipe.stdout

    def elsewhere(self, reach: Reach, own: Sequence[str]) -> list[dict[str, Any]]:
        """As the files of runs and models say."""
        folder = str(reach.data / "mlruns")
        return list(reach.ask("files-elsewhere", folder=folder, roots=list(own))["places"])

    def settle(self, reach: Reach, relocations: Sequence[tuple[str, str]]) -> None:
        """In the files, as YAML."""
        reach.ask("files-settle", folder=str(reach.data / "mlruns"), relocations=relocations)

    def unreadable(self, data: Path) -> Iterable[tuple[Path, str]]:
        """File by file."""
        return filecheck.unreadable(data / "mlruns")

    def keeps(self, path: str) -> bool:
        """All but artifacts."""
        return keeps(path)

    def artifact(self, path: str) -> str:
        """Where rows say that it is: a deleted experiment's lies in the trash."""
        return live(path)


def census(root: Path, without: Collection[Path] = ()) -> Census:
    """What a file store holds, by its folders, but for some of its files and folders."""
    own = {
        path.parent.relative_to(root).as_posix() + "/"
        for path in [*root.glob("*/meta.yaml"), *root.glob(f"{_TRASH}*/meta.yaml")]
        if f"name: {OWN}" in path.read_text(encoding="utf-8", errors="replace")
    }
    counts: Counter[str] = Counter(dict.fromkeys([*_KINDS.values(), "metrics"], 0))
    size = 0
    for entry, path in tree.walk(root, lambda _: None):
        if entry.folder or entry.path.startswith(tuple(own)) or not keeps(entry.path):
            continue
        if tree.below(path, without):
            continue
        size += entry.size or 0
        parts = tuple(live(entry.path).split("/"))
        if kind := _KINDS.get(_shape(parts)):
            counts[kind] += 1
        elif len(parts) >= 4 and parts[2] == "metrics":
            # The same point may be written twice, and is one.
            lines = path.read_bytes().splitlines()
            counts["metrics"] += len({tuple(line.split()) for line in lines})
    return Census(dict(counts), "", size)


def keeps(path: str) -> bool:
    """Everything but what is below a folder `artifacts` of a run, a model or a trace."""
    parts = live(path).split("/")
    place = 3 if len(parts) > 1 and parts[1] in ("models", "traces") else 2
    return not (len(parts) > place + 1 and parts[place] == "artifacts")


def live(path: str) -> str:
    """The path of what a deleted experiment holds, as it was before."""
    return path.removeprefix(_TRASH)


# Where MLflow keeps a file for each (3.17.2, mlflow/store/tracking/file_store.py).
_KINDS = {
    ("*", "meta.yaml"): "experiments",
    ("*", "*", "meta.yaml"): "runs",
    ("*", "models", "*", "meta.yaml"): "logged_models",
    ("*", "traces", "*", "trace_info.yaml"): "traces",
    ("models", "*", "meta.yaml"): "registered_models",
    ("models", "*", "*", "meta.yaml"): "model_versions",
}


def _shape(parts: tuple[str, ...]) -> tuple[str, ...]:
    known = ("models", "traces", "meta.yaml", "trace_info.yaml")
    return tuple(
        part if part in known and (place or part == "models") else "*"
        for place, part in enumerate(parts)
    )
