"""MLflow's file store: what is written in its files."""

from pathlib import Path
from typing import Any, BinaryIO

import yaml

from stackctl.courier.copytext import escape, unescape
from stackctl.courier.database import set_admin_password
from stackctl.courier.places import Experiment, Located, places
from stackctl.courier.relocation import Relocations, relocator
from stackctl.courier.verbs import Verb

# Keys of meta.yaml that hold the place of artifacts (MLflow 3.17.2, mlflow/store/tracking/).
_LOCATED = ("artifact_location", "artifact_uri", "source", "storage_location")
# What has artifacts, where its file is, and under which key that says where they are.
_THINGS = (
    ("runs", "*/*/meta.yaml", "artifact_uri"),
    ("logged_models", "*/models/*/meta.yaml", "artifact_location"),
)
# There may be 10,000 files, and the one in Python takes ten times as long.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAGS = ("mlflow.artifactLocation", "mlflow.trace.archiveLocation")


def settle(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, int]:
    """After a restore: relocate artifacts below `folder`, set the login."""
    moved = relocate_in(Path(job["folder"]), job["relocations"]) if job["relocations"] else 0
    set_admin_password()
    return {"moved": moved}


def relocate_in(root: Path, relocations: Relocations) -> int:
    """Rewrite the locations of artifacts; returns how many files changed."""
    relocate_field, count = relocator(relocations), 0

    def relocate(place: str) -> str:
        return unescape(relocate_field(escape(place)))

    for path in root.rglob("meta.yaml"):
        # An artifact may have this name.
        if "artifacts" in path.relative_to(root).parts[:-1]:
            continue
        values = _values(path)
        moved = {
            key: relocate(value) for key in _LOCATED if isinstance(value := values.get(key), str)
        }
        if any(values[key] != value for key, value in moved.items()):
            text = yaml.safe_dump({**values, **moved}, allow_unicode=True)
            count += _replace(path, text)
    for name in _TAGS:
        for path in root.glob(f"**/traces/*/tags/{name}"):
            value = path.read_text(encoding="utf-8")
            if relocate(value) != value:
                count += _replace(path, relocate(value))
    return count


def _replace(path: Path, text: str) -> int:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
    return 1


def rows_out(job: dict[str, Any], _in: BinaryIO, out: BinaryIO) -> None:
    """Everything in `folder` as rows, with experiments numbered anew where a database needs it."""
    from stackctl.courier.migration import migrated, scratch_folder
    from stackctl.courier.rows import write_rows

    with scratch_folder(job["scratch"]) as scratch:
        uri = migrated(Path(job["folder"]), scratch)
        write_rows(uri, out, job["relocations"], cut_for=job.get("cut_for", ""))


def elsewhere(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, Any]:
    """What the files in `folder` say: `{"places": […]}`, for `roots`.

    What is of a deleted experiment has no folder there: it would bring that back.
    """
    root = Path(job["folder"])
    experiments, things = {}, []
    for above, deleted in ((root, False), (root / ".trash", True)):
        for path in above.glob("*/meta.yaml"):
            values = _read(path)
            experiments[path.parent.name] = Experiment(
                str(values.get("name")), str(values.get("artifact_location"))
            )
        for kind, pattern, key in _THINGS:
            for path in above.glob(pattern):
                if location := _read(path).get(key):
                    identity = "" if deleted else path.parent.name
                    experiment = path.relative_to(above).parts[0]
                    things.append(Located(kind, identity, experiment, str(location)))
    return {"places": places(job["roots"], experiments, things)}


def _values(path: Path) -> dict[str, Any]:
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    return values if isinstance(values, dict) else {}


def _read(path: Path) -> dict[str, Any]:
    """What is in a file; nothing where MLflow could not read it either, or it has gone."""
    try:
        values = yaml.load(path.read_bytes(), _LOADER)  # noqa: S506 - it is a safe one
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return values if isinstance(values, dict) else {}


VERBS: dict[str, Verb] = {
    "files-settle": settle,
    "files-rows-out": rows_out,
    "files-elsewhere": elsewhere,
}
