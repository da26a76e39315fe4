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

from stackctl import settings
from stackctl.archive import Archive
from stackctl.console import size
from stackctl.deployment import Deployment
from stackctl.errors import MachineError, StackctlError, Undone, UserError
from stackctl.machine import require_room
from stackctl.operations import backup, keys, upgrade_undone
from stackctl.operations.deploy_undone import uninterrupted
from stackctl.operations.held import Held, held
from stackctl.operations.releases import refuse_another_major, refuse_no_upgrade
from stackctl.operations.restore import compare_counts
from stackctl.progress import Meter, Progress
from stackctl.proof import readiness
from stackctl.render import Bundle
from stackctl.stack import Manifest, Stack, choices
from stackctl.stack.bundle import write_bundle
from stackctl.stores.base import Census

STATUS = "upgrading"
# Beside the stack's bundle, the files that are to come.
_NEXT = "next"


@dataclass(frozen=True)
class Options:
    """How an upgrade is to be done.

    Attributes:
        archive: Where the backup is written.
        timeout: Seconds for the services to become ready.
    """

    archive: Path
    timeout: float = 180


@dataclass(frozen=True)
class Upgrade:
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


def releases(deployment: Deployment, to: str, image: str | None) -> tuple[Deployment, Deployment]:
    """A stack as it is, and as it is to be.

    Args:
        deployment: As it was deployed last.
        to: The MLflow release.
        image: The image that brings it, where the stack has one of its own.
    """
    manifest = deployment.stack.require_manifest()
    kept = deployment.settings.model_dump(mode="json")
    if manifest.mlflow and "tracking" not in deployment.settings.images:
        # A newer stackctl has another default.
        kept["mlflow_version"] = manifest.mlflow
    chosen = {"mlflow_version": to} | ({"images.tracking": image} if image else {})

    def having(values: dict[str, str]) -> Deployment:
        effective = settings.resolve(
            deployment.scenario, environment={}, kept=(kept, "the last deploy"),
            flags=[f"{key}={value}" for key, value in values.items()],
            given_by="the command line",
        )  # fmt: skip
        return replace(deployment, effective=effective)

    return having({}), having(chosen)


def look(deployment: Deployment, target: Deployment, options: Options) -> Upgrade:
    """What an upgrade would do; changes nothing, and so asks no release that is not there yet.

    Raises:
        UserError: It would be refused.
        MachineError: The stack does not run.
    """
    with held(deployment) as door:
        before, after = _releases(deployment, target, door.manifest)
        if _is_done(deployment, target, before):
            return Upgrade(before, after, {}, ())
        bundle = _rendered(deployment, target)
        census, total = _measure(deployment, options)
        image = _image(bundle, deployment.scenario.server)
        there = image in deployment.runtime.observe(deployment.stack, bundle).programs
        label = deployment.scenario.backend_kind.label
        return Upgrade(before, after, dict(census.counts), (
            *(() if there else (f"build, pull or install {image}",)),
            f"stop {', '.join(deployment.servers)}",
            f"back up about {size(total)} into {options.archive}",
            f"take {label} from schema {census.revision} to that of MLflow {after}",
            f"start MLflow {after}, and check it by use",
        ))  # fmt: skip


def upgrade(
    deployment: Deployment,
    target: Deployment,
    options: Options,
    *,
    meter: Meter,
    progress: Progress,
) -> Upgrade:
    """Have the target's MLflow release serve the data of a stack.

    Args:
        deployment: The stack as it was deployed.
        target: The same stack with the settings that it is to have.
        options: How.
        meter: Told how far it is.
        progress: Told what goes on.

    Raises:
        UserError: It cannot be done; nothing was changed.
        Undone: It failed, and what was there before is back.
        MachineError: It failed before anything was changed, or undoing it failed too.
    """
    stack = deployment.stack
    with held(deployment, stopped=True, resumes=(STATUS,)) as door:
        if door.manifest.status == STATUS:
            progress("putting back what was there before an upgrade that was interrupted")
            upgrade_undone.put_back(door, "it was interrupted", options.timeout, meter, progress)
            _clear(stack)
        manifest = door.manifest
        before, after = _releases(deployment, target, manifest)
        if _is_done(deployment, target, before):
            return Upgrade(before, after, {}, ())
        choices.read(stack.home)  # to be written in the end
        with _scratch(stack):
            bundle = _make_ready(deployment, target, before, options, progress)
            door.save(manifest.with_(status=STATUS, upgrade={"to": after}))
            with _undone_on_failure(door, target, options, meter, progress):
                counts = _carry_out(door, target, bundle, options, meter, progress)
        _save_as_deployed(door, target, manifest, bundle)
        _clear(stack)
        choices.save_release(target.stack, target.settings)
        return Upgrade(before, after, counts, ("done",))


def _releases(deployment: Deployment, target: Deployment, manifest: Manifest) -> tuple[str, str]:
    before = manifest.mlflow or deployment.settings.mlflow_version
    after = target.settings.mlflow_version
    refuse_no_upgrade(deployment.scenario, manifest, deployment.settings, target.settings, before)
    return before, after


def _is_done(deployment: Deployment, target: Deployment, before: str) -> bool:
    return (before, deployment.settings.images) == (
        target.settings.mlflow_version, target.settings.images,
    )  # fmt: skip


def _rendered(deployment: Deployment, target: Deployment) -> Bundle:
    bundle = target.render()
    target.runtime.refuse_foreign(deployment.stack, bundle)
    observed = target.runtime.observe(deployment.stack)
    refuse_another_major(deployment.stack, deployment.scenario.backend_kind, observed, bundle)
    return bundle


def _measure(deployment: Deployment, options: Options) -> tuple[Census, int]:
    backup.refuse_taken(options.archive)
    census = deployment.backend.census(deployment)
    total = census.bytes + deployment.artifacts.measure(deployment)
    require_room(options.archive.parent, total, "the backup")
    if deployment.scenario.backend_kind.local:
        # A migration copies a table, and gives nothing back.
        require_room(deployment.data, census.bytes, "the new schema")
    return census, total


def _make_ready(
    deployment: Deployment, target: Deployment, before: str, options: Options, progress: Progress
) -> Bundle:
    """Have both releases and a running stack, and know that the new one can take its data."""
    stack, runtime, after = deployment.stack, deployment.runtime, target.settings.mlflow_version
    bundle = _rendered(deployment, target)
    runtime.sweep(stack)
    stack.secrets.ensure(list(bundle.secrets))
    next_ = replace(stack, files=_NEXT)
    write_bundle(next_, bundle.files)
    runtime.obtain(next_, bundle, progress)
    upgrade_undone.keep(deployment, before, progress)
    deployment.start(options.timeout, progress)
    census, _ = _measure(deployment, options)
    answer = replace(target, files=_NEXT).ask("release", revision=census.revision)
    if answer["mlflow"] != after:
        image = _image(bundle, deployment.scenario.server)
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
    door: Held,
    target: Deployment,
    bundle: Bundle,
    options: Options,
    meter: Meter,
    progress: Progress,
) -> dict[str, int]:
    deployment = door.deployment
    stack, scenario, runtime = deployment.stack, deployment.scenario, deployment.runtime
    progress(f"stopping {', '.join(deployment.servers)}")
    runtime.stop(stack, deployment.servers)
    backup.write(door, options.archive, meter=meter, progress=progress)
    progress(f"what {stack.name} held is in {options.archive}")
    archive = {"archive": str(options.archive)}
    door.save(door.manifest.with_(upgrade={**door.manifest.upgrade, **archive}))
    after = target.settings.mlflow_version
    progress(f"taking {scenario.backend_kind.label} to the schema of MLflow {after}")
    moved = replace(target, files=_NEXT).ask("upgrade")
    progress(f"schema {moved['before']} -> {moved['after']}")
    if not door.manifest.keyed:
        keys.take_over(replace(target, files=_NEXT), keys.together(), progress)
    with Archive(options.archive) as written:
        compare_counts(written, replace(target, files=_NEXT))
        counts = {kind: int(most) for kind, (_, most) in written.manifest["counts"].items()}
    write_bundle(stack, bundle.files)
    target.start(options.timeout, progress)
    readiness.prove(target, progress)
    runs = readiness.server_version(target)
    if runs and runs != after:
        raise MachineError(f"the server says that it is MLflow {runs}, not {after}")
    return counts


@contextmanager
def _undone_on_failure(
    door: Held, target: Deployment, options: Options, meter: Meter, progress: Progress
) -> Iterator[None]:
    """What was there before is back where anything fails; Ctrl-C is a failure like any other."""
    try:
        yield
    except BaseException as error:
        stack, manifest = door.deployment.stack, door.manifest
        archive = manifest.upgrade.get("archive", "")
        with uninterrupted():
            progress("putting back what was there before")
            why = error.message if isinstance(error, StackctlError) else str(error) or "interrupted"
            upgrade_undone.put_back(door, why, options.timeout, meter, progress)
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


def _save_as_deployed(door: Held, target: Deployment, manifest: Manifest, bundle: Bundle) -> None:
    door.save(
        manifest.with_(
            status="deployed",
            upgrade={},
            settings=target.settings.model_dump(mode="json"),
            mlflow=target.settings.mlflow_version,
            secrets=bundle.secrets,
            deployed_at=datetime.now(UTC).isoformat(timespec="seconds"),
            kept=target.host.kept,
            keyed=True,
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
    return next(service.program for service in bundle.services if service.name == server)


def _clear(stack: Stack) -> None:
    for name in (_NEXT, upgrade_undone.BEFORE):
        shutil.rmtree(stack.folder / name, ignore_errors=True)
