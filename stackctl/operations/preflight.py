"""What can be told, and is refused, before anything is started or written."""

import os
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from stackctl.addresses import Addresses
from stackctl.deployment import Deployment
from stackctl.errors import BadSecret, BadSetting, NotRunning, PortTaken, UserError
from stackctl.machine import check_writable
from stackctl.observed import Observed, state_of
from stackctl.render import Bundle
from stackctl.runtimes.base import Runtime
from stackctl.scenario import Scenario
from stackctl.secrets.rotation import open_names
from stackctl.settings import Effective
from stackctl.stack import Manifest, Stack


def check_address_and_ports(deployment: Deployment, bundle: Bundle, observed: Observed) -> None:
    """The address is one of the machine, and no stranger listens on the ports.

    Args:
        deployment: Says on which address ports are published.
        bundle: Says which.
        observed: Tells the stack's own listeners.

    Raises:
        BadSetting: The address is not of the machine, or only root may use the port.
        PortTaken: Naming who has it.
    """
    settings, sources = deployment.settings, deployment.effective.sources
    own = {entry for state in observed.services.values() for entry in state.ports}
    for service in bundle.services:
        for setting, port in service.ports.items():
            if f"{settings.bind}:{port}" in own:
                continue
            found = deployment.runtime.obstacle(deployment.stack, settings.bind, port)
            if found is None:
                continue
            if found.kind == "address":
                raise BadSetting(
                    "bind",
                    settings.bind,
                    sources.get("bind", "default"),
                    "not an address of this machine",
                )
            if found.kind == "privilege":
                source = sources.get(setting, "default")
                raise BadSetting(setting, port, source, "only root may listen on a port below 1024")
            raise PortTaken(setting, settings.bind, port, found.owner)


def refuse_without_workspaces(name: str, counts: Mapping[str, int], target: Deployment) -> None:
    """What has workspaces goes into a stack that has them: MLflow starts with no other (3.17.2).

    Args:
        name: Of what has them.
        counts: What that holds.
        target: Where it is to go.

    Raises:
        UserError: The target has none.
    """
    if (number := counts.get("workspaces", 0)) and not target.settings.workspaces:
        raise UserError(
            f"{name} has workspaces, {number} beside the default one, and MLflow does not start "
            f"with them in stack {target.stack.name!r}",
            hint="set workspaces=true for that, with --set; nothing was changed",
        )


def check_data_folder(data: Path, *, for_mlflow: bool = True) -> None:
    """The data folder can be written, or made, and, where it is to, MLflow understands its path.

    MLflow takes the path as part of a URI: of a folder `a?b` it would use `a` (3.17.2), which in
    a container may be one that does not outlive it.

    Raises:
        UserError: It cannot.
    """
    if for_mlflow and (bad := sorted(set(str(data)) & set("?#%"))):
        raise UserError(
            f"data folder {data}: MLflow cannot use a path with {' or '.join(bad)}",
            hint="choose another with --set data=DIR",
        )
    check_writable(data)


def refuse_others_files(folder: Path, bundle: Bundle) -> None:
    """No file of the bundle would replace one that stackctl did not write.

    Raises:
        UserError: Naming the file.
    """
    for name, (text, _) in bundle.files.items():
        path = folder / name
        if name.startswith("images/") or not os.path.lexists(path):
            continue
        there = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        if there != text and "Rendered by stackctl" not in there[:200]:
            raise UserError(
                f"{path} is there already and was not written by stackctl",
                hint="choose an empty folder with --output; nothing was written",
            )


def refuse_another_scenario(manifest: Manifest | None, scenario: Scenario, hint: str) -> None:
    """A stack that is there stays of its scenario.

    Args:
        manifest: What is known of it; None where there is none.
        scenario: The one that is asked for.
        hint: What to do where it is another.

    Raises:
        UserError: It is another.
    """
    if manifest is not None and manifest.scenario != scenario.name:
        raise UserError(
            f"stack {manifest.name!r} is of {manifest.scenario}, not of {scenario.name}", hint=hint
        )


def refuse_another_store(
    stack: Stack,
    scenario: Scenario,
    changed: Mapping[str, tuple[str, str, str]],
    *,
    volumes_in_data: bool = False,
) -> None:
    """A stack that holds data is not pointed at another store: its artifacts would seem gone.

    Args:
        stack: Which.
        scenario: Its scenario.
        changed: `{key: (value of the last deploy, value now, source)}` of settings that differ.
        volumes_in_data: Every service keeps its data in the data folder.
    """
    matter = ["data"] if scenario.uses_data_folder or volumes_in_data else []
    if not scenario.backend_kind.local:
        matter += ["database", "database_name", "database_schema"]
    if scenario.artifacts == "s3":
        matter += ["object_store", "object_store_endpoint", "bucket"]
    for key in matter:
        if key in changed:
            old, new, source = changed[key]
            raise UserError(
                f"stack {stack.name!r} keeps its data with {key}={old or 'empty'}, and "
                f"{key}={new or 'empty'} (from {source}) would not find it",
                hint=f"deploy with --set {key}={old}, or as another stack with --name",
            )


def refuse_moved_artifacts(stack: Stack, scenario: Scenario) -> None:
    """MLflow keeps the absolute path of each experiment's artifacts, also when they were moved.

    Clients would make the old folder anew, and write there where nobody looks.

    Raises:
        UserError: The data folder was moved, and its old path does not lead to it.
    """
    manifest = stack.manifest()
    if manifest is None or not manifest.deployed_at or not scenario.artifact_kind.local:
        return
    before, now = Path(manifest.data), stack.data_folder(manifest)
    if now is None or now == before or (before.exists() and now.exists() and before.samefile(now)):
        return
    raise UserError(
        f"the data of stack {stack.name!r} were moved from {before} to {now}, and MLflow would "
        "go on writing artifacts to the old path",
        hint="let that lead to the new one: "
        f"ln -s {shlex.quote(str(stack.home.path))} {shlex.quote(manifest.home)}; "
        "or move the folder back",
    )


def refuse_half_done(manifest: Manifest | None) -> None:
    """A stack that an interrupted operation has half changed is started by nothing else.

    Raises:
        UserError: It was.
    """
    if manifest is not None and manifest.status == "upgrading":
        raise UserError(
            f"an upgrade of stack {manifest.name!r} was interrupted",
            hint=f"run: stackctl upgrade {manifest.name}; that first puts back what was there "
            "before",
        )
    done = {"restoring": ("restored", "restore"), "promoting": ("promoted", "promote")}
    if manifest is not None and manifest.status in done:
        what, command = done[manifest.status]
        raise UserError(
            f"the data of stack {manifest.name!r} is half {what}",
            hint=f"run the same stackctl {command} again, with --name {manifest.name}; "
            f"or give it up: stackctl remove {manifest.name} --volumes",
        )


def refuse_half_rotated(stack: Stack) -> None:
    """Which value a service takes is not clear while a rotation of secrets is cut short.

    Raises:
        UserError: It is.
    """
    if names := open_names(stack.secrets):
        raise UserError(
            f"the rotation of {', '.join(names)} of stack {stack.name!r} was cut short",
            hint=f"end it first: stackctl secrets rotate --stack {stack.name}",
        )


def refuse_stopped(stack: Stack, manifest: Manifest, runtime: Runtime) -> None:
    """Refuse a stack of which not everything runs.

    Raises:
        NotRunning: It is so.
    """
    state = state_of(manifest, tuple(runtime.observe(stack).services.values()))
    if state != "running":
        raise NotRunning(stack.name, manifest.scenario, state)


def refuse_own_folders(data: Path, stack: Stack) -> None:
    """The data folder is not one that holds other stacks, or what stackctl itself keeps."""
    # However the folder is named, and whatever link leads there.
    home, place = stack.home.path.resolve(), data.resolve()
    inner = [home / ".stackctl", home / ".secrets"]
    if (
        home.is_relative_to(place)
        or place == home / "data"
        or any(place.is_relative_to(folder) for folder in inner)
    ):
        raise UserError(
            f"data folder {data} holds other things of stackctl",
            hint="choose a folder of its own with --set data=DIR",
        )


def refuse_certificate(deployment: Deployment) -> None:
    """What the user gave for TLS can be used, and serves the stack's name now.

    Raises:
        BadSecret: The certificate or its key cannot.
        BadSetting: A file that a setting names cannot.
    """
    settings = deployment.settings
    if settings.tls == "acme" and settings.acme_root:
        _refuse_no_certificate(deployment.effective, "acme_root")
    if deployment.has_database_elsewhere and settings.database_ca:
        _refuse_no_certificate(deployment.effective, "database_ca")
    if settings.tls == "files":
        _refuse_misfit(deployment)


def _refuse_no_certificate(effective: Effective, key: str) -> None:
    from stackctl.certificates import chain_problem

    path = getattr(effective.settings, key)
    try:
        why = chain_problem(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = f"it cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}"
    if why:
        raise BadSetting(key, path, effective.sources.get(key, "default"), why)


def _refuse_misfit(deployment: Deployment) -> None:
    from stackctl.certificates import misfit

    secrets, address = deployment.secrets, deployment.settings.address
    chain, key = (secrets.read(name).reveal() for name in ("tls_certificate", "tls_key"))
    if why := misfit(chain, key, [address.host] if address else [], datetime.now(UTC)):
        raise BadSecret(
            secrets.path / "tls_certificate",
            why,
            "put one there that serves the name, and its key beside it as tls_key",
        )


def refuse_plain_http(scenario: Scenario, effective: Effective) -> None:
    """What leaves this machine is encrypted, unless somebody said that it need not be.

    Raises:
        BadSetting: It would not be.
    """
    settings = effective.settings
    if ip_address(settings.bind).is_loopback or settings.plain_http != "no":
        return
    if settings.tls == "off":
        raise BadSetting(
            "bind", settings.bind, effective.sources.get("bind", "default"),
            "passwords and data would leave this machine in clear; say where HTTPS comes from, as "
            "--set public_url=https://HOST --set tls=acme, internal, files or elsewhere, or --set "
            "plain_http=yes-on-a-trusted-network",
        )  # fmt: skip
    behind_proxy = {
        "object_store_port": Addresses(scenario, settings).proxies_objects,
        "browser_port": settings.ends_tls,
    }
    for setting, hidden in behind_proxy.items():
        if (port := getattr(settings, setting)) is not None and not hidden:
            raise BadSetting(
                setting, port, effective.sources.get(setting, "default"),
                f"it would be published on {settings.bind} without TLS; leave it empty, or --set "
                "plain_http=yes-on-a-trusted-network",
            )  # fmt: skip
