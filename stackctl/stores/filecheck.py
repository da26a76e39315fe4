"""What a file store holds that MLflow would pass over, or stumble over, without naming it.

MLflow leaves a run out whose `meta.yaml` it cannot read, and says so in a warning at most (3.17.2,
mlflow/store/tracking/file_store.py). Whoever copies a store has to know before.
"""

import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import yaml

_RUN = re.compile(r"[0-9a-f]{32}")
_INSIDE = {"metrics", "params", "tags", "artifacts"}
# Each of these has to be there, by one of its names; others MLflow can do without.
_EXPERIMENT = (("experiment_id",), ("name",))
_OF_RUN = (("run_id", "run_uuid"), ("experiment_id",), ("status",), ("start_time",))
# What a Mac, Windows and editors leave in a folder that somebody looked into.
_STRAY = re.compile(r"\.DS_Store|Thumbs\.db|desktop\.ini|.*~|#.*#|\..*\.sw[a-p]")
_APPLE_DOUBLE = b"\x00\x05\x16\x07"


def unreadable(root: Path) -> Iterator[tuple[Path, str]]:
    """Every file that is missing or says nothing, and why."""
    for folder in [*_folders(root), *_folders(root / ".trash")]:
        yield from _registered(folder) if folder == root / "models" else _in_experiment(folder)


def left_out(path: Path) -> Path:
    """What has to stay behind where a file cannot be read: what it is the heart of, or itself."""
    return path.parent if path.name in ("meta.yaml", "trace_info.yaml") else path


def _registered(models: Path) -> Iterator[tuple[Path, str]]:
    for model in _folders(models):
        yield from _meta(model / "meta.yaml", (("name",),))
        yield from _texts(model / "tags")
        yield from _texts(model / "aliases", _no_version)
        for version in _folders(model):
            if version.name.startswith("version-"):
                yield from _meta(version / "meta.yaml", (("version",),))
                yield from _texts(version / "tags")


def _in_experiment(experiment: Path) -> Iterator[tuple[Path, str]]:
    runs = [child for child in _folders(experiment) if _is_run(child)]
    if not runs and not (experiment / "meta.yaml").exists():
        return  # somebody else's
    yield from _meta(experiment / "meta.yaml", _EXPERIMENT)
    yield from _texts(experiment / "tags")
    for run in runs:
        yield from _meta(run / "meta.yaml", _OF_RUN)
        yield from _texts(run / "params")
        yield from _texts(run / "tags")
        yield from _texts(run / "metrics", _no_points)
        for linked in [*_folders(run / "inputs"), *_folders(run / "outputs")]:
            yield from _meta(linked / "meta.yaml", ())
    for dataset in _folders(experiment / "datasets"):
        yield from _meta(dataset / "meta.yaml", ())
    for model in _folders(experiment / "models"):
        yield from _meta(model / "meta.yaml", (("model_id",),))
        yield from _texts(model / "params")
        yield from _texts(model / "tags")
        yield from _texts(model / "metrics", _no_points_of_a_model)
    for trace in _folders(experiment / "traces"):
        yield from _meta(trace / "trace_info.yaml", ())
        yield from _texts(trace / "tags")
        yield from _texts(trace / "request_metadata")
        for assessment in sorted(trace.glob("assessments/*.yaml")):
            yield from _meta(assessment, ())


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


def _texts(folder: Path, wrong: Callable[[str], str] = lambda _: "") -> Iterator[tuple[Path, str]]:
    """The files of which MLflow takes the name for a name and the content for its value."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        try:
            str(path).encode()
            content = path.read_bytes()
            if _STRAY.fullmatch(path.name) or content.startswith(_APPLE_DOUBLE):
                yield path, f"it is none of the {folder.name}, but what a Mac or an editor left"
            elif why := wrong(content.decode()):
                yield path, why
        except UnicodeEncodeError:
            yield path, "its name is no Unicode"
        except (OSError, UnicodeDecodeError) as error:
            yield path, " ".join(str(error).split())[:200]


def _no_version(text: str) -> str:
    return "" if text.strip().isdecimal() else "it names no version"


def _no_points(text: str) -> str:
    return _first_wrong(text, _is_point)


def _no_points_of_a_model(text: str) -> str:
    # TIMESTAMP VALUE STEP RUN [DATASET DIGEST]
    return _first_wrong(text, lambda words: len(words) in (4, 6) and _is_point(words[:3]))


def _first_wrong(text: str, is_right: Callable[[list[str]], bool]) -> str:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not is_right(line.split()):
            return f"line {number} is no point of a metric"
    return ""


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
