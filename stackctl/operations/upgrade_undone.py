"""What was there before an upgrade: its files are kept, and are put back with the database."""

from dataclasses import replace
from pathlib import Path

from stackctl.archive import Archive
from stackctl.deployment import Deployment
from stackctl.errors import MachineError, StackctlError
from stackctl.operations.held import Held
from stackctl.operations.restore import compare_counts, counted
from stackctl.progress import Meter, Progress
from stackctl.proof import readiness
from stackctl.stack.bundle import bundle_files, with_modes, write_bundle

# Beside the stack's bundle, the files that were there.
BEFORE = "before"


def keep(deployment: Deployment, before: str, progress: Progress) -> None:
    """Keep the files by which the old release runs.

    Where a newer stackctl has taken the place of that with which it came, it is made anew.

    Raises:
        MachineError: It cannot be had any more.
    """
    stack = deployment.stack
    if deployment.ask("release")["mlflow"] != before:
        was = deployment.render()
        next_ = replace(stack, files=BEFORE)
        write_bundle(next_, was.files)
        deployment.runtime.obtain(next_, was, progress)
        write_bundle(stack, was.files)
    write_bundle(replace(stack, files=BEFORE), with_modes(bundle_files(stack)))


def put_back(door: Held, why: str, timeout: float, meter: Meter, progress: Progress) -> None:
    """Undo an upgrade that failed for a reason.

    Raises:
        MachineError: That failed too; the stack stays `upgrading`, and the next call tries again.
    """
    stack = door.deployment.stack
    archive = door.manifest.upgrade.get("archive", "")
    try:
        _undo(door, timeout, meter, progress)
    except Exception as error:
        other = f", or: stackctl restore {archive} --name {stack.name}-2 --port PORT"
        raise MachineError(
            f"the upgrade of stack {stack.name!r} failed: {why}; and so did undoing it: {error}",
            hint=f"mend that, then run: stackctl upgrade {stack.name}, which tries it again"
            + (other if archive else ""),
            details=error.details if isinstance(error, StackctlError) else "",
        ) from error


def _undo(door: Held, timeout: float, meter: Meter, progress: Progress) -> None:
    """Put back files and database, from whatever step on; artifacts were never touched."""
    deployment = door.deployment
    stack, runtime = deployment.stack, deployment.runtime
    database = deployment.scenario.backend_kind.service
    before = replace(stack, files=BEFORE)
    if not (files := bundle_files(before)):
        raise MachineError(f"{before.bundle} is gone", hint="it held what ran before")
    write_bundle(stack, with_modes(files))
    # One that is still on its way down would be taken for one that is up.
    runtime.stop(stack, deployment.servers)
    if path := door.manifest.upgrade.get("archive"):
        with Archive(Path(path)) as archive:
            others = [name for name in runtime.observe(stack).services if name != database]
            runtime.stop(stack, others)
            if database:
                deployment.start(timeout, progress, [database])
            meter.expect(f"restoring the database of {stack.name}", archive.size)
            entries = counted(archive.section("database"), meter)
            deployment.backend.load(deployment, entries, str(archive.manifest["revision"]))
            compare_counts(archive, deployment)
    deployment.start(timeout, progress)
    readiness.prove(deployment, progress)
    door.save(door.manifest.with_(status="deployed", upgrade={}))
