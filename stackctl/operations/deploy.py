"""Deploy: render, plan, start, prove; leave what was there before where that fails."""

import contextlib
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from stackctl import client, readiness
from stackctl.errors import UserError
from stackctl.operations.bundles import bundle_files, with_modes, write_bundle
from stackctl.operations.preflight import (
    check_address_and_ports,
    check_data_folder,
    refuse_another_store,
    refuse_half_done,
    refuse_half_rotated,
    refuse_moved_artifacts,
    refuse_own_folders,
)
from stackctl.operations.releases import refuse_newer_mlflow, refuse_older_mlflow
from stackctl.plan import Plan, plan
from stackctl.render import Bundle, Place, render
from stackctl.runtimes.base import Observed, Progress, Runtime
from stackctl.scenario import Scenario
from stackctl.settings import Effective
from stackctl.stack import Manifest, Stack, write_files


@dataclass(frozen=True)
class Prepared:
    """What a deploy would start from and go to."""

    stack: Stack
    scenario: Scenario
    effective: Effective
    place: Place
    bundle: Bundle
    observed: Observed
    files: Mapping[str, str]
    plan: Plan
    data: Path | None


def prepare(stack: Stack, scenario: Scenario, effective: Effective, runtime: Runtime) -> Prepared:
    """Look, and decide what a deploy would do. Changes nothing.

    Raises:
        UserError: The stack is of another scenario, or its names belong to somebody else.
    """
    manifest = stack.manifest()
    if manifest is not None:
        stack.refuse_copy(manifest)
    if manifest is not None and manifest.scenario != scenario.name:
        raise UserError(
            f"stack {stack.name!r} is of {manifest.scenario}, not of {scenario.name}",
            hint="choose another name with --set name=NAME; its data stays where it is",
        )
    refuse_half_done(manifest)
    refuse_half_rotated(stack)
    refuse_older_mlflow(manifest, effective)
    refuse_newer_mlflow(manifest, scenario, effective)
    refuse_moved_artifacts(stack, scenario)
    changed = _changed_settings(stack, manifest, effective)
    place = runtime.place(stack, scenario, effective)
    refuse_another_store(stack, scenario, changed, volumes_in_data=place.holds_volumes)
    bundle = render(scenario, effective, place)
    runtime.refuse_foreign(stack, bundle)
    observed = runtime.observe(stack, bundle)
    uses_data = scenario.uses_data_folder or place.holds_volumes
    data = stack.data(effective.settings.data) if uses_data else None
    files = bundle_files(stack)
    missing = [state.name for state in stack.secrets.states(list(bundle.secrets))
               if not state.present]  # fmt: skip
    return Prepared(
        stack=stack,
        scenario=scenario,
        effective=effective,
        place=place,
        bundle=bundle,
        observed=observed,
        files=files,
        data=data,
        plan=plan(
            bundle,
            observed,
            files=files,
            missing_secrets=missing,
            settings=changed,
            data=str(data) if data is not None and not data.exists() else "",
        ),
    )


def deploy(
    stack: Stack,
    scenario: Scenario,
    effective: Effective,
    runtime: Runtime,
    *,
    progress: Progress,
    timeout: float,
    check: bool = True,
) -> Plan:
    """Make the stack what the scenario and the settings say; returns what was done.

    Args:
        stack: Which.
        scenario: Of which scenario.
        effective: With which settings.
        runtime: Where.
        progress: Told what goes on, a line each time.
        timeout: Seconds for the services to become ready.
        check: Make the round trip.

    Raises:
        UserError: Nothing was changed.
        MachineError: What was there before is running again, or nothing is.
    """
    with stack.locked():
        return deploy_locked(
            stack, scenario, effective, runtime, progress=progress, timeout=timeout, check=check
        )


def deploy_locked(
    stack: Stack,
    scenario: Scenario,
    effective: Effective,
    runtime: Runtime,
    *,
    progress: Progress,
    timeout: float,
    check: bool = True,
) -> Plan:
    """As `deploy`, for a caller who holds the stack's lock."""
    try:
        wanted = prepare(stack, scenario, effective, runtime)
        _refuse_what_cannot_work(wanted, runtime)
    except BaseException:
        _leave_no_trace(stack)
        raise
    if wanted.plan:
        _carry_out(wanted, runtime, progress=progress, timeout=timeout, check=check)
    else:
        if not all(state.settled for state in wanted.observed.services.values()):
            runtime.start(stack, wanted.bundle, timeout=timeout, progress=progress)
        if check:
            readiness.prove(stack, scenario, effective.settings, runtime, progress)
        manifest = stack.require_manifest()
        if manifest.status != "deployed":
            _save_as_deployed(wanted, manifest)
    return wanted.plan


def _changed_settings(
    stack: Stack, manifest: Manifest | None, effective: Effective
) -> dict[str, tuple[str, str, str]]:
    """Settings that were others in the last deploy: what was a flag then is not remembered."""
    if manifest is None or not manifest.deployed_at:
        return {}
    before = {key: value for key, value, _ in Effective(stack.settings(manifest), {}).rows()}
    return {
        key: (before.get(key, ""), value, source)
        for key, value, source in effective.rows()
        # Where the stack is, it stays: `auto` is no other place.
        if key != "runtime" and before.get(key, "") != value
    }


def _refuse_what_cannot_work(wanted: Prepared, runtime: Runtime) -> None:
    stack = wanted.stack
    check_address_and_ports(wanted.bundle, wanted.effective, wanted.observed,
                            lambda port: runtime.port_owner(stack, port),
                            any_port=runtime.may_bind_any_port)  # fmt: skip
    if wanted.data is not None:
        check_data_folder(wanted.data, for_mlflow=wanted.scenario.uses_data_folder)
        refuse_own_folders(wanted.data, stack)
        before = stack.manifest()
        if before is not None and before.deployed_at and not wanted.data.exists():
            raise UserError(
                f"data folder {wanted.data} of stack {stack.name!r} is gone",
                hint="is a disk not mounted? If the data shall be lost: "
                f"stackctl remove {stack.name} --volumes",
            )
    stack.secrets.check_folder()
    external = wanted.effective.settings.object_store == "external"
    for state in stack.secrets.states(list(wanted.bundle.secrets)):
        # Nobody but its owner can make the keys of an external store.
        if state.present or (external and state.name.startswith("s3_")):
            stack.secrets.read(state.name)


def _carry_out(
    wanted: Prepared, runtime: Runtime, *, progress: Progress, timeout: float, check: bool
) -> None:
    stack, bundle = wanted.stack, wanted.bundle
    before = stack.manifest()
    manifest = _manifest(wanted, runtime)
    with _undone_on_failure(wanted, before, stack.secrets.names(), runtime, progress):
        stack.save(manifest)
        for note in bundle.notes:
            progress(note)
        for step in wanted.plan.steps:
            if step.kind == "setting":
                progress(f"setting {step.name}: {step.cause}")
        generated = stack.secrets.ensure(list(bundle.secrets))
        if generated:
            progress(f"generated {', '.join(generated)} in {stack.secrets.path}")
        client.write_credentials(stack, wanted.scenario)
        if wanted.data is not None:
            made = not wanted.data.exists()
            folder = wanted.data / "mlruns" if wanted.scenario.uses_data_folder else wanted.data
            folder.mkdir(parents=True, exist_ok=True)
            wanted.scenario.backend_store.prepare(wanted.data)
            manifest = manifest.with_(data_created=manifest.data_created or made)
            stack.save(manifest)
        write_bundle(stack, bundle.files)
        runtime.obtain_images(stack, bundle, progress)
        if wanted.plan.touches_services():
            runtime.start(stack, bundle, timeout=timeout, progress=progress)
        if check:
            readiness.prove(stack, wanted.scenario, wanted.effective.settings, runtime, progress)
    _save_as_deployed(wanted, manifest)


def _save_as_deployed(wanted: Prepared, manifest: Manifest) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    settings = wanted.effective.settings
    version = readiness.server_version(wanted.scenario, settings)
    if not version and "tracking" not in settings.images:
        # With a login 2.22 tells it to nobody else.
        version = settings.mlflow_version
    wanted.stack.save(
        manifest.with_(status="deployed", mlflow=version or manifest.mlflow, deployed_at=now)
    )


@contextlib.contextmanager
def _undone_on_failure(
    wanted: Prepared,
    before: Manifest | None,
    secrets: list[str],
    runtime: Runtime,
    progress: Progress,
) -> Iterator[None]:
    """What ran before runs again, or nothing does; Ctrl-C is a failure like any other."""
    try:
        yield
    except BaseException:
        with uninterrupted():
            try:
                _undo(wanted, before, secrets, runtime, progress)
            except Exception as error:  # the first failure is the one to raise
                progress(f"that failed too: {error}; run: stackctl deploy {wanted.scenario.name}")
        raise


def _undo(
    wanted: Prepared,
    before: Manifest | None,
    secrets: list[str],
    runtime: Runtime,
    progress: Progress,
) -> None:
    stack = wanted.stack
    ran = any(state.state == "running" for state in wanted.observed.services.values())
    if ran and wanted.files:
        progress("putting back what ran before")
        write_files(stack.bundle, with_modes(wanted.files))
        if before is not None:
            stack.save(before)
        runtime.restore(stack)
        return
    progress("taking away what was started")
    fresh = frozenset(wanted.bundle.volumes) - wanted.observed.volumes
    runtime.remove(stack, lost=fresh if _never_ran(before) else frozenset())
    if wanted.data is not None and wanted.plan.makes_folder and _never_ran(before):
        # Made moments ago, and no client was told of it yet.
        shutil.rmtree(wanted.data, ignore_errors=True)
        with contextlib.suppress(OSError):  # other stacks have theirs there
            (stack.home.path / "data").rmdir()
    if before is not None:
        stack.save(before)
        return
    for name in set(stack.secrets.names()) - set(secrets):
        stack.secrets.forget(name)
    stack.forget()


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let a second Ctrl-C wait until what is going on has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.signal(number, signal.SIG_IGN) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, handlers, strict=True):
            signal.signal(number, handler)


def _never_ran(before: Manifest | None) -> bool:
    return before is None or not before.deployed_at


def _manifest(wanted: Prepared, runtime: Runtime) -> Manifest:
    stack, settings = wanted.stack, wanted.effective.settings
    before = stack.manifest()
    made_before = (
        before is not None and before.data_created and stack.data_folder(before) == wanted.data
    )
    return Manifest(
        name=stack.name,
        scenario=wanted.scenario.name,
        runtime=runtime.name,
        owner=stack.owner,
        settings=settings.model_dump(mode="json"),
        mlflow=before.mlflow if before else "",
        data=str(wanted.data or ""),
        data_created=made_before,
        home=str(stack.home.path),
        secrets=wanted.bundle.secrets,
        deployed_at=before.deployed_at if before else "",
        ports=wanted.place.local.ports if wanted.place.local else {},
        volumes=wanted.place.local.volumes if wanted.place.local else {},
    )


def _leave_no_trace(stack: Stack) -> None:
    """A refused first deploy leaves no folder of a stack that does not exist."""
    if stack.manifest() is None and not stack.bundle.exists():
        shutil.rmtree(stack.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            stack.folder.parent.rmdir()
