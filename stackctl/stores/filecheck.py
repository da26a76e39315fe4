"""What a file store holds that MLflow would pass over, or stumble over, without naming it.

MLflow leaves a run out whose `meta.yaml` it cannot read, and says so in a warning at most (3.17.2,
mlflow/store/tracking/file_store.py). Whoever copies a store has to know before.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

import yaml

from stackctl.errors import UserError

_RUN = re.compile(r"[0-9a-f]{32}")
_INSIDE = {"metrics", "params", "tags", "artifacts"}
# Each of these has to be there, by one of its names; others MLflow can do without.
_EXPERIMENT = (("experiment_id",), ("name",))
_OF_RUN = (("run_id", "run_uuid"), ("experiment_id",), ("status",), ("start_time",))
_SHOWN = 20


def refuse_unreadable(root: Path) -> None:
    """Everything in a file store can be read.

    Raises:
        UserError: Naming what cannot.
    """
    found = [f"{path}: {why}" for path, why in unreadable(root)]
    if not found:
        return
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    raise UserError(
        f"{len(found)} files of {root} are not as MLflow writes them, and what they are of would "
        f"not be copied; the first is {found[0]}",
        hint="mend them, or take their folders away; nothing was changed",
        details="\n".join([*found[:_SHOWN], *more]),
    )


def unreadable(root: Path) -> Iterator[tuple[Path, str]]:
    """Every file that is missing or says nothing, and why."""
    for folder in [*_folders(root), *_folders(root / ".trash")]:
        yield from _registered(folder) if folder == root / "models" else _in_experiment(folder)


def _registered(models: Path) -> Iterator[tuple[Path, str]]:
    for model in _folders(models):
        yield from _meta(model / "meta.yaml", (("name",),))
        for version in _folders(model):
            if version.name.startswith("version-"):
                yield from _meta(version / "meta.yaml", (("version",),))


def _in_experiment(experiment: Path) -> Iterator[tuple[Path, str]]:
    runs = [child for child in _folders(experiment) if _is_run(child)]
    if not runs and not (experiment / "meta.yaml").exists():
        return  # somebody else's
    yield from _meta(experiment / "meta.yaml", _EXPERIMENT)
    for run in runs:
        yield from _meta(run / "meta.yaml", _OF_RUN)
        yield from _metrics(run / "metrics")
    for model in _folders(experiment / "models"):
        yield from _meta(model / "meta.yaml", (("model_id",),))
    for trace in _folders(experiment / "traces"):
        yield from _meta(trace / "trace_info.yaml", ())


def _is_run(folder: Path) -> bool:
    if folder.name in ("models", "traces", "tags", "datasets"):
        return False
    # A user may have given it an identifier of another form.
    return _RUN.fullmatch(folder.name) is not None or (
        (folder / "meta.yaml").is_file() and any((folder / name).is_dir() for name in _INSIDE)
    )


def _folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return sorted(p for p in parent.iterdir() if p.is_dir() and not p.name.startswith("."))


def _meta(path: Path, wanted: Collection[tuple[str, ...]]) -> Iterator[tuple[Path, str]]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        yield path, "it is missing"
        return
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        yield path, " ".join(str(error).split())[:200]
        return
    if not isinstance(values, dict):
        yield path, "it is empty" if values is None else "it is no list of names and values"
        return
    missing = [names[0] for names in wanted if all(values.get(name) is None for name in names)]
    if missing:
        yield path, f"it says nothing of {', '.join(missing)}"


def _metrics(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            yield path, " ".join(str(error).split())[:200]
            continue
        for number, line in enumerate(lines, start=1):
            if line.strip() and not _is_point(line.split()):
                yield path, f"line {number} is no point of a metric"
                break


def _is_point(words: list[str]) -> bool:
    """TIMESTAMP VALUE [STEP [DATASET DIGEST]] as MLflow writes them."""
    if len(words) not in (2, 3, 5):
        return False
    try:
        int(words[0])
        float(words[1])
        if len(words) > 2:
            int(words[2])
    except ValueError:
        return False
    return True
