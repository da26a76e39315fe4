"""Backup: everything of a stack in one archive, taken while it runs.

The database comes first, the artifacts after it. MLflow writes a model's files before the row that
says that they are there, and changes no artifact afterwards; so whatever a row of the archive names
is among the artifacts that are read later. What is logged meanwhile leaves files that no row names,
which harm nobody.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stackctl import __version__, locations
from stackctl.archive import Archive, Writer, layout, writing
from stackctl.deployment import Deployment
from stackctl.errors import BadArchive, StackctlError
from stackctl.machine import require_room
from stackctl.operations import elsewhere, keys, proxy_state
from stackctl.operations.elsewhere import Elsewhere
from stackctl.operations.held import Held, held
from stackctl.progress import Meter, Progress
from stackctl.secrets.sealed import seal
from stackctl.stack import Home
from stackctl.stack.bundle import bundle_files
from stackctl.stores.base import Census, Entry

FOLDER = "backups"
SUFFIX = ".tar"
# These are of one place, and would lead another stack to it.
OF_THE_PLACE = {"name", "data", "runtime"}


@dataclass(frozen=True)
class Listed:
    """An archive of a folder; `problem` says why one cannot be used."""

    path: Path
    size: int
    manifest: dict[str, Any]
    problem: str = ""


def default_path(home: Home, stack: str) -> Path:
    """`backups/STACK-20260131T235959Z.tar` in the home folder."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return home.path / FOLDER / f"{stack}-{now}{SUFFIX}"


def backup(
    deployment: Deployment, path: Path, *, passphrase: str = "", meter: Meter, progress: Progress
) -> dict[str, Any]:
    """Write an archive of a running stack; returns its manifest.

    Args:
        deployment: Which.
        path: Where; it must not exist.
        passphrase: Put the secrets in too, encrypted with it.
        meter: Told how far it is.
        progress: Told what somebody who restores it will lack.

    Raises:
        UserError: The stack does not run, or the path is taken.
        MachineError: There is no room, or a store cannot be read.
    """
    with held(deployment) as door:
        return backup_held(door, path, passphrase=passphrase, meter=meter, progress=progress)


def backup_held(
    door: Held, path: Path, *, passphrase: str = "", meter: Meter, progress: Progress
) -> dict[str, Any]:
    """As `backup`, for a caller who holds the stack."""
    refuse_taken(path)
    return write(door, path, passphrase=passphrase, meter=meter, progress=progress)


def refuse_taken(path: Path) -> None:
    """No archive is overwritten.

    Raises:
        BadArchive: There is a file of that name.
    """
    if path.exists():
        raise BadArchive(path, "there is a file of that name", hint="choose another with --output")


def write(
    door: Held, path: Path, *, passphrase: str = "", meter: Meter, progress: Progress
) -> dict[str, Any]:
    """Write the archive of a stack whose stores are up, whether its servers are or not.

    Raises:
        MachineError: There is no room, or a store cannot be read.
    """
    deployment, manifest = door.deployment, door.manifest
    stack, scenario = deployment.stack, deployment.scenario
    before = deployment.backend.census(deployment)
    total = before.bytes + deployment.artifacts.measure(deployment)
    total += sum(place.bytes for place in elsewhere.look(deployment))
    require_room(path.parent, total, "the backup")
    if not passphrase:
        for kind in scenario.backend_kind.keys:
            if manifest.keyed and (rows := before.encrypted.get(kind.name)):
                progress(
                    f"the archive will hold {kind.count(rows)}, encrypted, and not the key; "
                    "so that another home can read them too: --with-secrets"
                )
    meter.expect(f"backing up {stack.name}", total)
    about: dict[str, Any] = {
        "stackctl": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "stack": stack.name,
        "scenario": scenario.name,
        "runtime": manifest.runtime,
        "backend": scenario.backend,
        "artifacts": scenario.artifacts,
        "mlflow": manifest.mlflow,
        "revision": before.revision,
        "locations": locations.roots(scenario, deployment.settings, deployment.data),
        "settings": deployment.settings.model_dump(
            mode="json", exclude_defaults=True, exclude=OF_THE_PLACE
        ),
    }
    with writing(path, meter.advance) as writer:
        writer.text(layout.HEADER_FILE, layout.line(about))
        counts, places = _stores(deployment, writer, before)
        about |= {"elsewhere": [place.described() for place in places]}
        about |= {"keys": keys.described(deployment, before.encrypted)}
        for name, text in bundle_files(stack).items():
            _text(writer, name, text)
        if passphrase:
            values = {name: stack.secrets.read(name).reveal() for name in manifest.secrets}
            values |= proxy_state.packed(deployment)
            writer.text(layout.SECRETS, seal(values, passphrase))
        writer.finish({**about, "counts": counts})
    for line in elsewhere.lines(about):
        progress(line)
    with Archive(path) as archive:
        return archive.manifest


def _stores(
    deployment: Deployment, writer: Writer, before: Census
) -> tuple[dict[str, list[int]], list[Elsewhere]]:
    """Both stores, and what lies elsewhere; how many there were of each kind, at least and at most.

    The database's own moment lies between two counts.
    """
    for entry, content in deployment.backend.dump(deployment, writer.notes.append):
        writer.add("database", entry, content)
    after = deployment.backend.census(deployment)
    places = elsewhere.look(deployment)
    shared, there = {place.experiment for place in places}, set()
    for section, entry, content in deployment.artifacts.dump(deployment, writer.notes.append):
        writer.add(section, entry, content)
        if entry.path.partition("/")[0] in shared:
            there.add(entry.path)
    for place in places:
        for entry, content in place.content(deployment, writer.notes.append):
            if entry.path not in there:
                writer.add("artifacts", entry, content)
    counts = {kind: sorted((before.counts.get(kind, 0), count))
              for kind, count in after.counts.items()}  # fmt: skip
    return counts, places


def _text(writer: Writer, name: str, text: str) -> None:
    import io

    content = text.encode()
    writer.add("bundle", Entry(name, len(content)), io.BytesIO(content))


def listed(place: Path) -> list[Listed]:
    """The archives of a folder, the newest last, or the one of a file.

    Files of other kinds are passed over in a folder, which need not be there.
    """
    found = []
    for path in [place] if place.is_file() else sorted(place.glob(f"*{SUFFIX}")):
        size = path.stat().st_size
        try:
            with Archive(path) as archive:
                found.append(Listed(path, size, archive.manifest))
        except StackctlError as error:
            reason = error.reason if isinstance(error, BadArchive) else error.message
            found.append(Listed(path, size, {}, reason))
    return sorted(found, key=lambda entry: str(entry.manifest.get("created", "")))
