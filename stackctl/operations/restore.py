"""Restore: the content of an archive in a new or an empty stack.

Everything is verified before anything is changed. From the first change to the last proof the
stack's manifest says `restoring`, so that nothing starts on half of the data; the same restore
again begins anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from stackctl import locations, readiness
from stackctl.archive import Archive, layout
from stackctl.errors import BadArchive, MachineError, UserError
from stackctl.operations.backup import backup_locked
from stackctl.operations.deploy import deploy_locked
from stackctl.operations.preflight import refuse_half_rotated
from stackctl.operations.releases import refuse_older_mlflow
from stackctl.operations.site import Site
from stackctl.operations.transfer import Meter, require_room
from stackctl.operations.use import refuse_stopped
from stackctl.runtimes.base import Progress
from stackctl.sealed import unseal
from stackctl.stack import Manifest
from stackctl.stores.base import Entry


@dataclass(frozen=True)
class Wishes:
    """How a restore is to be done.

    Attributes:
        replace: Where what the stack holds is backed up, before it is replaced; None refuses a
            stack that holds something.
        passphrase: Opens the secrets in the archive, for a stack that has none yet.
        timeout: Seconds for the services to become ready.
    """

    replace: Path | None = None
    passphrase: str = ""
    timeout: float = 180


def restore(
    archive: Archive, site: Site, wishes: Wishes, *, meter: Meter, progress: Progress
) -> None:
    """Fill a stack from an archive, deploying it where it is not.

    Args:
        archive: Which.
        site: The stack that is to hold it; it need not exist.
        wishes: How.
        meter: Told how far it is.
        progress: Told what goes on.

    Raises:
        UserError: The archive is not for this stack, or the stack holds data; nothing was changed.
        MachineError: It failed. A stack that was changed stays `restoring`.
    """
    _refuse_another_kind(archive, site)
    meter.expect(f"verifying {archive.path.name}", int(archive.manifest["bytes"]))
    archive.verify(meter.advance)
    secrets = _secrets(archive, wishes.passphrase)
    with site.stack.locked():
        before = site.stack.manifest()
        refuse_half_rotated(site.stack)
        if before is None or not before.deployed_at:
            _refuse_without_room(archive, site)
            for name, value in secrets.items():
                site.stack.secrets.take(name, value)
            deploy_locked(
                site.stack, site.scenario, site.effective, site.runtime,
                progress=progress, timeout=wishes.timeout,
            )  # fmt: skip
        if before is None or before.status != "restoring":
            # A new stack may have found data too: a folder, a volume or a bucket of the name.
            _make_way(site, site.stack.require_manifest(), wishes, meter, progress)
        _replace(archive, site, wishes, meter, progress)


def _refuse_another_kind(archive: Archive, site: Site) -> None:
    about, scenario = archive.manifest, site.scenario
    for what, kind in (("backend", scenario.backend), ("artifacts", scenario.artifacts)):
        if about.get(what) != kind:
            raise BadArchive(
                archive.path,
                f"it holds {what} of kind {about.get(what)!r}, and {scenario.name} has {kind!r}",
                hint=f"restore it as {about.get('scenario')}, then: stackctl promote",
            )
    was = Manifest(name=str(about.get("stack")), scenario="", runtime="", owner="",
                   mlflow=str(about.get("mlflow", "")))  # fmt: skip
    refuse_older_mlflow(was, site.effective)


def _secrets(archive: Archive, passphrase: str) -> dict[str, str]:
    if not passphrase:
        return {}
    sealed = archive.text(layout.SECRETS)
    if sealed is None:
        raise BadArchive(
            archive.path, "it holds no secrets", hint="leave the passphrase out; new ones are made"
        )
    return unseal(sealed, passphrase)


def _refuse_without_room(archive: Archive, site: Site) -> None:
    if site.scenario.uses_data_folder or site.place.holds_volumes:
        require_room(site.data, int(archive.manifest["bytes"]), "what the archive holds")


def _make_way(
    site: Site, before: Manifest, wishes: Wishes, meter: Meter, progress: Progress
) -> None:
    """Refuse a stack that holds something, or keep a copy of it."""
    site.stack.refuse_copy(before)
    refuse_stopped(site.stack, before, site.runtime)
    if site.scenario.backend_store.census(site).empty and not site.scenario.artifact_store.measure(
        site
    ):
        return
    if wishes.replace is None:
        raise UserError(
            f"stack {site.stack.name!r} holds data",
            hint="restore under another name with --name, or take its place with --replace, "
            "which backs it up first; nothing was changed",
        )
    backup_locked(site, wishes.replace, meter=meter)
    progress(f"what {site.stack.name} held is in {wishes.replace}")


def _replace(
    archive: Archive, site: Site, wishes: Wishes, meter: Meter, progress: Progress
) -> None:
    stack, scenario, runtime = site.stack, site.scenario, site.runtime
    manifest = stack.require_manifest()
    stack.save(manifest.with_(status="restoring"))
    runtime.sweep(stack)
    bundle = site.start(wishes.timeout, progress)
    runtime.stop(stack, scenario.servers)
    meter.expect(f"restoring {stack.name}", int(archive.manifest["bytes"]))
    scenario.artifact_store.clear(site)
    database = counted(archive.section("database"), meter)
    scenario.backend_store.load(site, database, str(archive.manifest["revision"]))
    scenario.artifact_store.load(site, _artifacts(archive, meter))
    moved = locations.relocations(
        archive.manifest["locations"], locations.roots(scenario, site.settings, site.data)
    )
    scenario.backend_store.settle(site, moved)
    runtime.start(stack, bundle, timeout=wishes.timeout, progress=progress)
    compare_counts(archive, site)
    readiness.prove(stack, scenario, site.settings, runtime, progress)
    stack.save(manifest.with_(status="deployed"))


def _artifacts(archive: Archive, meter: Meter) -> Iterator[tuple[str, Entry, BinaryIO]]:
    for section in ("artifacts", "bucket"):
        for entry, content in counted(archive.section(section), meter):
            yield section, entry, content


def counted(
    entries: Iterator[tuple[Entry, BinaryIO]], meter: Meter
) -> Iterator[tuple[Entry, BinaryIO]]:
    """Entries of an archive; the meter is told of each that was taken."""
    for entry, content in entries:
        yield entry, content
        meter.advance(entry.size or 0)


def compare_counts(archive: Archive, site: Site) -> None:
    """The backend store holds as much as the archive says.

    Raises:
        MachineError: It does not.
    """
    there = site.scenario.backend_store.census(site).counts
    for kind, (least, most) in archive.manifest["counts"].items():
        found = there.get(kind, 0)
        if not least <= found <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise MachineError(
                f"there are {found} {kind.replace('_', ' ')}, and the archive says {wanted}",
                hint="run the same command again, and report it if it fails again",
            )
