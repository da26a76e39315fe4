"""Upgrade: another MLflow release on a stack's data, or what was there before.

What the new release needs is made first, beside what runs. Then the servers stop, so that the
backup holds everything that was acknowledged; MLflow's own migrations run; the new servers start
and are checked by use. From the stop on the manifest says `upgrading`, with what takes the stack
back: the rendered files of before, in a folder of their own, and the archive once that is whole.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from stackctl import readiness
from stackctl.archive import Archive
from stackctl.console import size
from stackctl.errors import MachineError, StackctlError, Undone, UserError
from stackctl.operations import backup, way_back
from stackctl.operations.bundles import write_bundle
from stackctl.operations.deploy import uninterrupted
from stackctl.operations.preflight import refuse_half_done, refuse_half_rotated
from stackctl.operations.releases import refuse_another_major, refuse_no_upgrade
from stackctl.operations.restore import compare_counts
from stackctl.operations.site import Site
from stackctl.operations.transfer import Meter, require_room
from stackctl.render import Bundle, render
from stackctl.runtimes.base import Progress
from stackctl.stack import Manifest, Stack
from stackctl.stores.base import Census

STATUS = "upgrading"
# Beside the stack's bundle, the files that are to come.
_NEXT = "next"


@dataclass(frozen=True)
class Wishes:
    """What an upgrade is to do.

    Attributes:
        archive: Where the backup is written.
        timeout: Seconds for the services to become ready.
    """

    archive: Path
    timeout: float = 180


@dataclass(frozen=True)
class Outcome:
    """What an upgrade did, or would do.

    Attributes:
        before: The release that served the data.
        after: The one that serves them now.
        counts: What the store holds.
        steps: A line for each thing that there is to do; none where it was done before.
    """

    before: str
    after: str
    counts: dict[str, int]
    steps: tuple[str, ...]


def look(site: Site, target: Site, wishes: Wishes) -> Outcome:
    """What an upgrade would do; changes nothing, and so asks no release that is not there yet.

    Raises:
        UserError: It would be refused.
        MachineError: The stack does not run.
    """
    with site.stack.locked():
        manifest = site.stack.require_manifest()
        refuse_half_done(manifest)
        refuse_half_rotated(site.stack)
        before, after = _releases(site, target, manifest)
        if _is_done(site, target, before):
            return Outcome(before, after, {}, ())
        bundle = _rendered(site, target)
        census, total = _measure(site, wishes)
        image = _image(bundle, site.scenario.server)
        there = image in site.runtime.observe(site.stack, bundle).images
        label = site.scenario.backend_store.label
        return Outcome(before, after, dict(census.counts), (
            *(() if there else (f"build, pull or install {image}",)),
            f"stop {', '.join(site.scenario.servers)}",
            f"back up about {size(total)} into {wishes.archive}",
            f"take {label} from schema {census.revision} to that of MLflow {after}",
            f"start MLflow {after}, and check it by use",
        ))  # fmt: skip


def upgrade(
    site: Site, target: Site, wishes: Wishes, *, meter: Meter, progress: Progress
) -> Outcome:
    """Have the target's MLflow release serve the data of a stack.

    Args:
        site: The stack as it was deployed.
        target: The same stack with the settings that it is to have.
        wishes: How.
        meter: Told how far it is.
        progress: Told what goes on.

    Raises:
        UserError: It cannot be done; nothing was changed.
        Undone: It failed, and what was there before is back.
        MachineError: It failed before anything was changed, or undoing it failed too.
    """
    stack = site.stack
    with stack.locked():
        manifest = stack.require_manifest()
        stack.refuse_copy(manifest)
        if manifest.status == STATUS:
            progress("putting back what was there before an upgrade that was interrupted")
            way_back.put_back(site, "it was interrupted", wishes.timeout, meter, progress)
            _clear(stack)
            manifest = stack.require_manifest()
        refuse_half_done(manifest)
        refuse_half_rotated(stack)
        before, after = _releases(site, target, manifest)
        if _is_done(site, target, before):
            return Outcome(before, after, {}, ())
        with _scratch(stack):
            bundle = _make_ready(site, target, before, wishes, progress)
            stack.save(manifest.with_(status=STATUS, upgrade={"to": after}))
            with _undone_on_failure(site, target, wishes, meter, progress):
                counts = _carry_out(site, target, bundle, wishes, meter, progress)
        _save_as_deployed(target, manifest, bundle)
        _clear(stack)
        return Outcome(before, after, counts, ("done",))


def _releases(site: Site, target: Site, manifest: Manifest) -> tuple[str, str]:
    before = manifest.mlflow or site.settings.mlflow_version
    after = target.settings.mlflow_version
    refuse_no_upgrade(site.scenario, manifest, site.settings, target.settings, before)
    return before, after


def _is_done(site: Site, target: Site, before: str) -> bool:
    return (before, site.settings.images) == (
        target.settings.mlflow_version, target.settings.images,
    )  # fmt: skip


def _rendered(site: Site, target: Site) -> Bundle:
    bundle = render(target.scenario, target.effective, target.place)
    target.runtime.refuse_foreign(site.stack, bundle)
    observed = target.runtime.observe(site.stack)
    refuse_another_major(site.stack, site.scenario.backend_store, observed, bundle)
    return bundle


def _measure(site: Site, wishes: Wishes) -> tuple[Census, int]:
    backup.refuse_taken(wishes.archive)
    census = site.scenario.backend_store.census(site)
    total = census.bytes + site.scenario.artifact_store.measure(site)
    require_room(wishes.archive.parent, total, "the backup")
    if site.scenario.backend_store.local:
        # A migration copies a table, and gives nothing back.
        require_room(site.data, census.bytes, "the new schema")
    return census, total


def _make_ready(
    site: Site, target: Site, before: str, wishes: Wishes, progress: Progress
) -> Bundle:
    """Have both releases and a running stack, and know that the new one can take its data."""
    stack, runtime, after = site.stack, site.runtime, target.settings.mlflow_version
    bundle = _rendered(site, target)
    runtime.sweep(stack)
    stack.secrets.ensure(list(bundle.secrets))
    next_ = replace(stack, files=_NEXT)
    write_bundle(next_, bundle.files)
    runtime.obtain_images(next_, bundle, progress)
    way_back.keep(site, before, progress)
    site.start(wishes.timeout, progress)
    census, _ = _measure(site, wishes)
    answer = replace(target, files=_NEXT).ask("release", revision=census.revision)
    if answer["mlflow"] != after:
        image = _image(bundle, site.scenario.server)
        raise UserError(
            f"{image} brings MLflow {answer['mlflow']}, not {after}",
            hint="name the release that it brings with --to; nothing was changed",
        )
    if census.revision and not answer["known"]:
        raise UserError(
            f"MLflow {after} does not know the schema {census.revision} of the data of stack "
            f"{stack.name!r}",
            hint="a newer MLflow made them; nothing was changed",
        )
    return bundle


def _carry_out(
    site: Site, target: Site, bundle: Bundle, wishes: Wishes, meter: Meter, progress: Progress
) -> dict[str, int]:
    stack, scenario, runtime = site.stack, site.scenario, site.runtime
    manifest = stack.require_manifest()
    progress(f"stopping {', '.join(scenario.servers)}")
    runtime.stop(stack, scenario.servers)
    backup.write(site, manifest, wishes.archive, meter=meter)
    progress(f"what {stack.name} held is in {wishes.archive}")
    archive = {"archive": str(wishes.archive)}
    stack.save(manifest.with_(upgrade={**manifest.upgrade, **archive}))
    after = target.settings.mlflow_version
    progress(f"taking {scenario.backend_store.label} to the schema of MLflow {after}")
    moved = replace(target, files=_NEXT).ask("upgrade")
    progress(f"schema {moved['before']} -> {moved['after']}")
    with Archive(wishes.archive) as written:
        compare_counts(written, replace(target, files=_NEXT))
        counts = {kind: int(most) for kind, (_, most) in written.manifest["counts"].items()}
    write_bundle(stack, bundle.files)
    runtime.start(stack, bundle, timeout=wishes.timeout, progress=progress)
    readiness.prove(stack, scenario, target.settings, runtime, progress)
    runs = readiness.server_version(scenario, target.settings)
    if runs and runs != after:
        raise MachineError(f"the server says that it is MLflow {runs}, not {after}")
    return counts


@contextmanager
def _undone_on_failure(
    site: Site, target: Site, wishes: Wishes, meter: Meter, progress: Progress
) -> Iterator[None]:
    """What was there before is back where anything fails; Ctrl-C is a failure like any other."""
    try:
        yield
    except BaseException as error:
        stack = site.stack
        manifest = stack.require_manifest()
        archive = manifest.upgrade.get("archive", "")
        with uninterrupted():
            progress("putting back what was there before")
            why = error.message if isinstance(error, StackctlError) else str(error) or "interrupted"
            way_back.put_back(site, why, wishes.timeout, meter, progress)
            _clear(stack)
        if not archive:
            raise
        raise Undone(
            f"the upgrade of stack {stack.name!r} to MLflow {target.settings.mlflow_version} "
            f"failed: {why}",
            hint=f"undone: MLflow {manifest.mlflow} serves what it served before; the backup is "
            f"{archive}",
            details=error.details if isinstance(error, StackctlError) else "",
        ) from error


def _save_as_deployed(target: Site, manifest: Manifest, bundle: Bundle) -> None:
    local = target.place.local
    target.stack.save(
        manifest.with_(
            status="deployed",
            upgrade={},
            settings=target.settings.model_dump(mode="json"),
            mlflow=target.settings.mlflow_version,
            secrets=bundle.secrets,
            deployed_at=datetime.now(UTC).isoformat(timespec="seconds"),
            ports=local.ports if local else {},
            volumes=local.volumes if local else {},
        )
    )


@contextmanager
def _scratch(stack: Stack) -> Iterator[None]:
    """Without what an earlier upgrade left; what was refused leaves nothing."""
    _clear(stack)
    try:
        yield
    except BaseException:
        if stack.require_manifest().status != STATUS:
            _clear(stack)
        raise


def _image(bundle: Bundle, server: str) -> str:
    return next(service.image for service in bundle.services if service.name == server)


def _clear(stack: Stack) -> None:
    for name in (_NEXT, way_back.BEFORE):
        shutil.rmtree(stack.folder / name, ignore_errors=True)
