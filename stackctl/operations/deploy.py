"""Deploy: render, plan, start, prove; leave what was there before where that fails."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from stackctl.client import environment as client
from stackctl.deployment import Deployment
from stackctl.errors import UserError, WouldOpen
from stackctl.observed import Observed
from stackctl.operations import configuration, external, keys, sign_on
from stackctl.operations.deploy_undone import Begun, undone_on_failure
from stackctl.operations.held import Held, admit, held
from stackctl.operations.preflight import (
    check_address_and_ports,
    check_data_folder,
    refuse_certificate,
    refuse_own_folders,
)
from stackctl.operations.prepare import Prepared, is_given, prepare
from stackctl.plan import Plan, Step, service_steps
from stackctl.progress import Progress
from stackctl.proof import readiness
from stackctl.stack import Manifest, choices
from stackctl.stack.bundle import write_bundle


def look(deployment: Deployment) -> Prepared:
    """What a deploy would do; changes nothing.

    Raises:
        UserError: It would be refused: the stack is not this home's, of another scenario, or half
            done, or its names belong to somebody else.
    """
    return prepare(deployment, admit(deployment, new=True, stopped=True))


def deploy(
    deployment: Deployment,
    *,
    progress: Progress,
    timeout: float,
    check: bool = True,
    save: bool = True,
    opens: bool = False,
) -> Plan:
    """Make a stack what its scenario and its settings say; returns what was done.

    Args:
        deployment: Which, with the settings that it is to have.
        progress: Told what goes on, a line each time.
        timeout: Seconds for the services to become ready.
        check: Make the round trip.
        save: Write what the user said about it into `stackctl.toml`.
        opens: More people may reach it than before.

    Raises:
        WouldOpen: They may not; nothing was changed.
        UserError: Nothing was changed.
        MachineError: What was there before is running again, or nothing is.
    """
    with held(deployment, new=True, stopped=True) as door:
        return deploy_held(
            door, progress=progress, timeout=timeout, check=check, save=save, opens=opens
        )


def deploy_held(
    door: Held,
    *,
    progress: Progress,
    timeout: float,
    check: bool = True,
    save: bool = True,
    opens: bool = False,
) -> Plan:
    """As `deploy`, for a caller who holds the stack."""
    deployment, before = door.deployment, door.known
    wanted = prepare(deployment, before)
    _refuse_what_cannot_work(wanted)
    sign_on.refuse_unusable(deployment, before, progress)
    if wanted.plan.opens and not opens:
        raise WouldOpen(deployment.name, [f"{s.name} {s.cause}" for s in wanted.plan.opens])
    chosen = _to_file(deployment, before, save=save)
    if wanted.plan:
        _carry_out(door, wanted, progress=progress, timeout=timeout, check=check)
    else:
        deployment.start(timeout, progress)
        if check:
            readiness.prove(deployment, progress, timeout)
    if deployment.has_database_elsewhere:
        external.claim(deployment)
    if chosen is not None:
        written = choices.save(deployment.stack, deployment.scenario.name, chosen)
        progress(f"kept in {deployment.stack.home.settings_file}: {written}")
    manifest = door.manifest
    if wanted.plan or manifest.status != "deployed":
        _save_as_deployed(door, manifest)
    elif not manifest.filed:
        door.save(manifest.with_(filed=True))
    return wanted.plan


def _to_file(
    deployment: Deployment, before: Manifest | None, *, save: bool
) -> dict[str, Any] | None:
    """What of the user's choices is to be written down after a deploy; None: nothing.

    Raises:
        UserError: It is something, and could not be written.
    """
    stack, scenario = deployment.stack, deployment.scenario
    if save:
        found = choices.to_save(stack, scenario, deployment.effective)
    elif before is not None and before.deployed_at and not before.filed:
        # They alone know what was chosen earlier, and are about to be replaced.
        found = choices.chosen(scenario, before.settings)
    else:
        return None
    if not found and choices.has(stack):
        return None
    choices.refuse_read_only(stack.home)
    return found


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
    for state in stack.secrets.states(list(wanted.bundle.secrets)):
        if state.present or is_given(deployment, state.name):
            stack.secrets.read(state.name)
    refuse_certificate(deployment)


def _carry_out(
    door: Held, wanted: Prepared, *, progress: Progress, timeout: float, check: bool
) -> None:
    deployment, bundle = wanted.deployment, wanted.bundle
    stack, scenario, runtime = deployment.stack, deployment.scenario, deployment.runtime
    before = door.known
    manifest = _manifest(wanted, before)
    with undone_on_failure(door, wanted, before, stack.secrets.names(), progress) as begun:
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
        client.write_files(scenario, deployment.settings, stack.secrets)
        if wanted.data is not None:
            made = not wanted.data.exists()
            folder = wanted.data / "mlruns" if scenario.uses_data_folder else wanted.data
            folder.mkdir(parents=True, exist_ok=True)
            deployment.backend.prepare(wanted.data)
            manifest = manifest.with_(data_created=manifest.data_created or made)
            door.save(manifest)
        if deployment.settings.ends_tls:
            stack.proxy_state.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_bundle(stack, bundle.files)
        runtime.obtain(stack, bundle, progress)
        if deployment.has_database_elsewhere:
            external.refuse_unusable(deployment, before, progress)
        steps: Sequence[Step] = wanted.plan.services
        if wanted.plan.rekeys:
            steps = _take_over_keys(wanted, begun, timeout, progress)
            manifest = manifest.with_(keyed=True)
            door.save(manifest)
        steps = _one_after_the_other(wanted, steps, timeout, progress)
        runtime.apply(stack, bundle.services, steps, timeout=timeout, progress=progress)
        configuration.note(stack, bundle.texts)
        if check:
            readiness.prove(deployment, progress, timeout)


def _one_after_the_other(
    wanted: Prepared, steps: Sequence[Step], timeout: float, progress: Progress
) -> Sequence[Step]:
    """Replace servers of which others run meanwhile, each once the one before is ready.

    Before them comes what they need, and after them what leads to them. Returns the steps that are
    left.
    """
    deployment, services = wanted.deployment, {s.name: s for s in wanted.bundle.services}
    groups = (deployment.settings.each([name]) for name in deployment.scenario.servers)
    serving = [name for group in groups if _serve(wanted.observed, group) for name in group]
    rolled = [step for step in steps
              if step.action in ("recreate", "restart") and step.name in serving]  # fmt: skip
    if not rolled:
        return steps
    order = list(services)
    needed = order[: min(order.index(step.name) for step in rolled)]
    before = [step for step in steps if step.name in needed]
    for wave in filter(None, [before, *([step] for step in rolled)]):
        names = [step.name for step in wave]
        deployment.runtime.apply(
            deployment.stack, [services[name] for name in names], wave,
            timeout=timeout, progress=_only_of(names, progress),
        )  # fmt: skip
    return [step for step in steps if step not in (*before, *rolled)]


def _serve(observed: Observed, group: Sequence[str]) -> bool:
    """More than one of them does, so that one can be missed."""
    there = [observed.services[name] for name in group if name in observed.services]
    return sum(state.health == "healthy" for state in there) > 1


def _only_of(names: Sequence[str], progress: Progress) -> Progress:
    """Tells what is told of some services, and of no other that only goes on running."""
    beginnings = tuple(f"{name}:" for name in names)

    def tell(line: str) -> None:
        if line.startswith(beginnings):
            progress(line)

    return tell


def _take_over_keys(
    wanted: Prepared, begun: Begun, timeout: float, progress: Progress
) -> tuple[Step, ...]:
    """Encrypt anew what MLflow encrypted, with no server there; returns the steps that are left."""
    deployment, bundle = wanted.deployment, wanted.bundle
    stack, runtime, servers = deployment.stack, deployment.runtime, deployment.servers
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
                             deployed_at=now, filed=True))  # fmt: skip


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
        filed=before.filed if before else False,
    )
