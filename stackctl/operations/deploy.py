"""Deploy: render, plan, start, prove; leave what was there before where that fails."""

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from stackctl.client import environment as client
from stackctl.deployment import Deployment
from stackctl.errors import UserError
from stackctl.observed import Observed
from stackctl.operations import keys
from stackctl.operations.held import Held, admit, held
from stackctl.operations.preflight import (
    check_address_and_ports,
    check_data_folder,
    refuse_another_scenario,
    refuse_another_store,
    refuse_moved_artifacts,
    refuse_own_folders,
)
from stackctl.operations.releases import refuse_newer_mlflow, refuse_older_mlflow
from stackctl.operations.remove import take_back_data
from stackctl.plan import Plan, Step, plan, service_steps
from stackctl.progress import Progress
from stackctl.proof import readiness
from stackctl.render import Bundle
from stackctl.settings import Effective
from stackctl.stack import Manifest, Stack
from stackctl.stack.bundle import bundle_files, with_modes, write_bundle


@dataclass(frozen=True)
class Prepared:
    """What a deploy would start from and go to."""

    deployment: Deployment
    bundle: Bundle
    observed: Observed
    files: Mapping[str, str]
    plan: Plan
    data: Path | None


def look(deployment: Deployment) -> Prepared:
    """What a deploy would do; changes nothing.

    Raises:
        UserError: It would be refused: the stack is not this home's, of another scenario, or half
            done, or its names belong to somebody else.
    """
    return _prepare(deployment, admit(deployment, new=True, stopped=True))


def deploy(
    deployment: Deployment, *, progress: Progress, timeout: float, check: bool = True
) -> Plan:
    """Make a stack what its scenario and its settings say; returns what was done.

    Args:
        deployment: Which, with the settings that it is to have.
        progress: Told what goes on, a line each time.
        timeout: Seconds for the services to become ready.
        check: Make the round trip.

    Raises:
        UserError: Nothing was changed.
        MachineError: What was there before is running again, or nothing is.
    """
    with held(deployment, new=True, stopped=True) as door:
        return deploy_held(door, progress=progress, timeout=timeout, check=check)


def deploy_held(door: Held, *, progress: Progress, timeout: float, check: bool = True) -> Plan:
    """As `deploy`, for a caller who holds the stack."""
    deployment = door.deployment
    wanted = _prepare(deployment, door.known)
    _refuse_what_cannot_work(wanted)
    if wanted.plan:
        _carry_out(door, wanted, progress=progress, timeout=timeout, check=check)
        return wanted.plan
    deployment.start(timeout, progress)
    if check:
        readiness.prove(deployment, progress)
    if door.manifest.status != "deployed":
        _save_as_deployed(door, door.manifest)
    return wanted.plan


def _prepare(deployment: Deployment, manifest: Manifest | None) -> Prepared:
    stack, scenario, effective = deployment.stack, deployment.scenario, deployment.effective
    refuse_another_scenario(
        manifest, scenario, "choose another name with --set name=NAME; its data stays where it is"
    )
    refuse_older_mlflow(manifest, effective)
    refuse_newer_mlflow(manifest, scenario, effective)
    refuse_moved_artifacts(stack, scenario)
    changed = _changed_settings(stack, manifest, effective)
    volumes_in_data = deployment.host.volumes_in_data
    refuse_another_store(stack, scenario, changed, volumes_in_data=volumes_in_data)
    bundle = deployment.render()
    deployment.runtime.refuse_foreign(stack, bundle)
    observed = deployment.runtime.observe(stack, bundle)
    uses_data = scenario.uses_data_folder or volumes_in_data
    data = deployment.data if uses_data else None
    files = bundle_files(stack)
    missing = [state.name for state in stack.secrets.states(list(bundle.secrets))
               if not state.present]  # fmt: skip
    return Prepared(
        deployment=deployment,
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
            rekeyed=_strangers_keys(deployment, manifest, observed, missing),
        ),
    )


def _strangers_keys(
    deployment: Deployment, manifest: Manifest | None, observed: Observed, missing: Sequence[str]
) -> str:
    """Why what MLflow encrypted in the database is not encrypted with the stack's own keys.

    "" where it is, or there is no database yet.
    """
    kind = deployment.scenario.backend_kind
    there = (deployment.backend.is_in(deployment.data) if kind.local
             else kind.service in observed.volumes)  # fmt: skip
    if not kind.keys or not there:
        return ""
    if manifest is None or not manifest.keyed:
        return "MLflow alone takes one that stands in its source, and others that it forgets"
    gone = [key.secret for key in kind.keys if key.secret in missing]
    return f"{' and '.join(gone)} had to be made anew" if gone else ""


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


def _refuse_what_cannot_work(wanted: Prepared) -> None:
    deployment = wanted.deployment
    stack = deployment.stack
    check_address_and_ports(deployment, wanted.bundle, wanted.observed)
    if wanted.data is not None:
        check_data_folder(wanted.data, for_mlflow=deployment.scenario.uses_data_folder)
        refuse_own_folders(wanted.data, stack)
        before = stack.manifest()
        if before is not None and before.deployed_at and not wanted.data.exists():
            raise UserError(
                f"data folder {wanted.data} of stack {stack.name!r} is gone",
                hint="is a disk not mounted? If the data shall be lost: "
                f"stackctl remove {stack.name} --volumes",
            )
    stack.secrets.check_folder()
    external = deployment.settings.object_store == "external"
    for state in stack.secrets.states(list(wanted.bundle.secrets)):
        # Nobody but its owner can make the keys of an external store.
        if state.present or (external and state.name.startswith("s3_")):
            stack.secrets.read(state.name)


def _carry_out(
    door: Held, wanted: Prepared, *, progress: Progress, timeout: float, check: bool
) -> None:
    deployment, bundle = wanted.deployment, wanted.bundle
    stack, scenario, runtime = deployment.stack, deployment.scenario, deployment.runtime
    before = door.known
    manifest = _manifest(wanted, before)
    with _undone_on_failure(door, wanted, before, stack.secrets.names(), progress) as begun:
        door.save(manifest)
        for note in bundle.notes:
            progress(note)
        for step in wanted.plan.steps:
            if step.kind == "setting":
                progress(f"setting {step.name}: {step.cause}")
            elif step.kind == "service" and step.action != "create":
                progress(f"{step.action} {step.name}: {step.cause}")
        generated = stack.secrets.ensure(list(bundle.secrets))
        if generated:
            progress(f"generated {', '.join(generated)} in {stack.secrets.path}")
        client.write_credentials(scenario, stack.secrets)
        if wanted.data is not None:
            made = not wanted.data.exists()
            folder = wanted.data / "mlruns" if scenario.uses_data_folder else wanted.data
            folder.mkdir(parents=True, exist_ok=True)
            deployment.backend.prepare(wanted.data)
            manifest = manifest.with_(data_created=manifest.data_created or made)
            door.save(manifest)
        write_bundle(stack, bundle.files)
        runtime.obtain(stack, bundle, progress)
        steps = wanted.plan.services
        if wanted.plan.rekeys:
            steps = _take_over_keys(wanted, begun, timeout, progress)
            manifest = manifest.with_(keyed=True)
            door.save(manifest)
        runtime.apply(stack, bundle.services, steps, timeout=timeout, progress=progress)
        if check:
            readiness.prove(deployment, progress)
    _save_as_deployed(door, manifest)


def _take_over_keys(
    wanted: Prepared, begun: "_Begun", timeout: float, progress: Progress
) -> tuple[Step, ...]:
    """Encrypt anew what MLflow encrypted, with no server there; returns the steps that are left."""
    deployment, bundle = wanted.deployment, wanted.bundle
    stack, runtime, servers = deployment.stack, deployment.runtime, deployment.scenario.servers
    running = [name for name in servers if name in wanted.observed.services]
    runtime.stop(stack, running)
    database = [service for service in bundle.services
                if service.name == deployment.scenario.backend_kind.service]  # fmt: skip
    if database:
        steps = [step for step in wanted.plan.services if step.name == database[0].name]
        runtime.apply(stack, database, steps, timeout=timeout, progress=progress)
    begun.keys = True
    keys.take_over(deployment, keys.together(), progress)
    return tuple(service_steps(bundle.services, runtime.observe(stack)))


def _save_as_deployed(door: Held, manifest: Manifest) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    settings = door.deployment.settings
    version = readiness.server_version(door.deployment)
    if not version and "tracking" not in settings.images:
        # With a login 2.22 tells it to nobody else.
        version = settings.mlflow_version
    door.save(manifest.with_(status="deployed", mlflow=version or manifest.mlflow,
                             deployed_at=now))  # fmt: skip


@dataclass
class _Begun:
    """What a deploy came to that has to be undone by name.

    Attributes:
        keys: What MLflow encrypted may be encrypted with the stack's own keys by now.
    """

    keys: bool = False


@contextlib.contextmanager
def _undone_on_failure(
    door: Held,
    wanted: Prepared,
    before: Manifest | None,
    secrets: list[str],
    progress: Progress,
) -> Iterator[_Begun]:
    """What ran before runs again, or nothing does; Ctrl-C is a failure like any other."""
    begun = _Begun()
    try:
        yield begun
    except BaseException:
        with uninterrupted():
            try:
                _undo(door, wanted, begun, before, secrets, progress)
            except Exception as error:  # the first failure is the one to raise
                name = wanted.deployment.scenario.name
                progress(f"that failed too: {error}; run: stackctl deploy {name}")
        raise


def _undo(
    door: Held,
    wanted: Prepared,
    begun: _Begun,
    before: Manifest | None,
    secrets: list[str],
    progress: Progress,
) -> None:
    stack, runtime = wanted.deployment.stack, wanted.deployment.runtime
    ran = any(state.state == "running" for state in wanted.observed.services.values())
    if begun.keys and not (before and before.keyed):
        # What comes next has no keys of its own, or may forget these.
        runtime.stop(stack, wanted.deployment.scenario.servers)
        keys.give_back(wanted.deployment)
    if ran and wanted.files:
        progress("putting back what ran before")
        write_bundle(stack, with_modes(wanted.files))
        if before is not None:
            door.save(before)
        described = runtime.described(stack)
        steps = service_steps(described, runtime.observe(stack))
        runtime.apply(stack, described, steps, timeout=None, progress=progress)
        return
    progress("taking away what was started")
    fresh = frozenset(wanted.bundle.volumes) - wanted.observed.volumes
    runtime.remove(stack, lost=fresh if _never_ran(before) else frozenset())
    if wanted.data is not None and wanted.plan.makes_folder and _never_ran(before):
        take_back_data(stack, wanted.data)
    if before is not None:
        door.save(before)
        return
    for name in set(stack.secrets.names()) - set(secrets):
        stack.secrets.forget(name)
    if not stack.secrets.names():
        # Ended before the first was written.
        stack.secrets.delete()
    door.forget()


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


def _manifest(wanted: Prepared, before: Manifest | None) -> Manifest:
    deployment = wanted.deployment
    stack = deployment.stack
    made_before = (
        before is not None and before.data_created and stack.data_folder(before) == wanted.data
    )
    return Manifest(
        name=stack.name,
        scenario=deployment.scenario.name,
        runtime=deployment.runtime.name,
        owner=stack.owner,
        settings=deployment.settings.model_dump(mode="json"),
        mlflow=before.mlflow if before else "",
        data=str(wanted.data or ""),
        data_created=made_before,
        home=str(stack.home.path),
        secrets=wanted.bundle.secrets,
        deployed_at=before.deployed_at if before else "",
        kept=deployment.host.kept,
        # Until it is carried out, where there is something to encrypt anew.
        keyed=not wanted.plan.rekeys,
    )
