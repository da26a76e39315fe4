"""MLflow's file store: what is written in its files."""

from pathlib import Path
from typing import Any, BinaryIO

import yaml

from stackctl.courier.copytext import escape, unescape
from stackctl.courier.database import set_admin_password
from stackctl.courier.relocation import Relocations, relocator
from stackctl.courier.verbs import Verb

# Keys of meta.yaml that hold the place of artifacts (MLflow 3.17.2, mlflow/store/tracking/).
_LOCATED = ("artifact_location", "artifact_uri", "source", "storage_location")
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
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            continue
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


VERBS: dict[str, Verb] = {"files-settle": settle, "files-rows-out": rows_out}
