"""Restore: the content of an archive in a new or an empty stack.

Everything is verified before anything is changed. From the first change to the last proof the
stack's manifest says `restoring`, so that nothing starts on half of the data; the same restore
again begins anew.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from stackctl import locations, scenarios, settings
from stackctl.archive import Archive, layout
from stackctl.deployment import Deployment
from stackctl.errors import BadArchive, MachineError, UserError
from stackctl.machine import require_room
from stackctl.operations import elsewhere, keys, proxy_state
from stackctl.operations.backup import OF_THE_PLACE, backup_held
from stackctl.operations.deploy import deploy_held
from stackctl.operations.held import Held, held
from stackctl.operations.preflight import refuse_without_workspaces
from stackctl.operations.releases import refuse_older_mlflow
from stackctl.progress import Meter, Progress
from stackctl.proof import readiness
from stackctl.secrets import SecretFolder
from stackctl.secrets.sealed import unseal
from stackctl.stack import Home, Manifest, choices
from stackctl.stores.base import Entry, unlike

STATUS = "restoring"
# What an archive says of these is of another machine: addresses, names, programs to run.
_ASKED = ("bind", "public_hosts", "public_url", "tls", "http_port", "trusted_proxies",
          "object_store_endpoint", "images", "server", "extra")  # fmt: skip
_OF_THE_DATABASE = tuple(
    key for key in settings.Settings.model_fields if key.startswith("database")
)
_HOW_TO_READ = (
    "the keys are neither in it nor in this home; where another has them, back the stack up "
    "with --with-secrets"
)


@dataclass(frozen=True)
class Options:
    """How a restore is to be done.

    Attributes:
        replace: Where what the stack holds is backed up, before it is replaced; None refuses a
            stack that holds something.
        passphrase: Opens the secrets in the archive, for a stack that has none yet.
        timeout: Seconds for the services to become ready.
        scratch: The stack is taken away in the end, whole or not, and nothing of it is kept.
    """

    replace: Path | None = None
    passphrase: str = ""
    timeout: float = 180
    scratch: bool = False


def places(archive: Archive, flags: Sequence[str] = ()) -> dict[str, str]:
    """The settings in an archive that say where things are and what is run, and no flag says."""
    kept, given = archive.manifest["settings"], settings.pairs(flags)
    asked = list(_ASKED)
    if given.get("database", kept.get("database")) == "external":
        # Whose data would be replaced.
        asked += _OF_THE_DATABASE
    found = settings.flat({key: kept[key] for key in asked if kept.get(key)})
    if given.get("auth", kept.get("auth")) == "oidc":
        # Who knows the people of a stack, and lets them in.
        usual = settings.flat({"oidc": settings.Settings().oidc.model_dump(mode="json")})
        told = settings.flat({"oidc": kept.get("oidc", {})})
        found |= {key: value for key, value in told.items() if value != usual.get(key)}
    return {key: settings.shown(value) for key, value in found.items() if key not in given}


def kept_settings(
    archive: Archive, flags: Sequence[str], *, as_it_was: bool
) -> tuple[Mapping[str, Any], str]:
    """What a stack made of an archive has of its settings, and where that is from.

    Raises:
        UserError: Some name places of the machine that it was made on, and nobody took them.
    """
    asked = places(archive, flags)
    if asked and not as_it_was:
        listed = ", ".join(f"{key}={value}" for key, value in asked.items())
        raise UserError(
            f"archive {archive.path} has settings of the machine that it was made on: {listed}",
            hint="say each as it is to be with --set, or take them with --as-it-was; nothing was "
            "changed",
        )
    kept = archive.manifest["settings"]
    return {k: v for k, v in kept.items() if k not in OF_THE_PLACE}, str(archive.path)


def destination(
    archive: Archive,
    home: Home,
    name: str | None,
    flags: Sequence[str],
    *,
    as_it_was: bool = False,
) -> Deployment:
    """The stack that an archive goes into: one that is there, else a new one as it was.

    Args:
        archive: Which.
        home: Where the stack is.
        name: The stack's, where it is not that of the one that was backed up.
        flags: Settings for a new one, as `key=value`.
        as_it_was: Settings are taken too that name places of the machine that it was made on.

    Raises:
        UserError: The stack is there, and has settings already, or the archive's are not taken.
    """
    about = archive.manifest
    stack = home.stack(name or str(about["stack"]))
    if (manifest := stack.manifest()) is not None:
        # The command that made it goes on where it was interrupted.
        unfinished = manifest.status == STATUS or not manifest.deployed_at
        if flags and not unfinished:
            raise UserError(
                f"stack {stack.name!r} is there, and a restore keeps its settings",
                hint="leave --set, --port and --runtime out, or choose another --name",
            )
        return Deployment.recorded(stack)
    found = scenarios.load(str(about["scenario"]), home.scenarios)
    kept = kept_settings(archive, [*flags, *choices.told(stack)], as_it_was=as_it_was)
    effective = choices.effective(home, found, [*flags, f"name={stack.name}"], kept=kept)
    return Deployment.chosen(home.stack(effective.settings.name), found, effective)


def restore(
    archive: Archive, deployment: Deployment, options: Options, *, meter: Meter, progress: Progress
) -> None:
    """Fill a stack from an archive, deploying it where it is not.

    Args:
        archive: Which.
        deployment: The stack that is to hold it; it need not exist.
        options: How.
        meter: Told how far it is.
        progress: Told what goes on.

    Raises:
        UserError: The archive is not for this stack, or the stack holds data; nothing was changed.
        MachineError: It failed. A stack that was changed stays `restoring`.
    """
    _refuse_another_kind(archive, deployment)
    meter.expect(f"verifying {archive.path.name}", int(archive.manifest["bytes"]))
    archive.verify(meter.advance)
    secrets = _secrets(archive, options.passphrase)
    certificates = secrets.pop(proxy_state.NAME, "")
    known = _known_keys(archive, deployment, secrets)
    for line in elsewhere.lines(archive.manifest, "become the stack's own"):
        progress(line)
    for what in keys.unreadable(archive.manifest.get("keys", {}), known):
        progress(f"nobody will be able to read {what} of {archive.path.name}: {_HOW_TO_READ}")
    with held(deployment, new=True, resumes=(STATUS,)) as door:
        before = door.known
        keys.refuse_without(deployment)
        if before is None or not before.deployed_at:
            _refuse_without_room(archive, deployment)
            with _taken(deployment.secrets, secrets), proxy_state.taken(deployment, certificates):
                deploy_held(
                    door, progress=progress, timeout=options.timeout, save=not options.scratch
                )
        if before is None or before.status != STATUS:
            # A new stack may have found data too: a folder, a volume or a bucket of the name.
            _make_way(door, options, meter, progress)
        _replace(archive, door, options, known, meter, progress)


def _known_keys(archive: Archive, deployment: Deployment, secrets: Mapping[str, str]) -> keys.Known:
    """Those that may open what MLflow encrypted: the archive's, this stack's, the one's it was."""
    stack = deployment.stack
    was = stack.home.stack(str(archive.manifest["stack"]))
    return keys.together(
        keys.among(secrets, deployment),
        keys.kept_in(stack.secrets, deployment),
        keys.kept_in(was.secrets, deployment),
    )


def _refuse_another_kind(archive: Archive, deployment: Deployment) -> None:
    about, scenario = archive.manifest, deployment.scenario
    for what, kind in (("backend", scenario.backend), ("artifacts", scenario.artifacts)):
        if about.get(what) != kind:
            raise BadArchive(
                archive.path,
                f"it holds {what} of kind {about.get(what)!r}, and {scenario.name} has {kind!r}",
                hint=f"restore it as {about.get('scenario')}, then: stackctl promote",
            )
    most = {kind: count for kind, (_, count) in about["counts"].items()}
    refuse_without_workspaces(f"archive {archive.path}", most, deployment)
    was = Manifest(name=str(about.get("stack")), scenario="", runtime="", owner="",
                   mlflow=str(about.get("mlflow", "")))  # fmt: skip
    refuse_older_mlflow(was, deployment.effective)


def _secrets(archive: Archive, passphrase: str) -> dict[str, str]:
    if not passphrase:
        return {}
    sealed = archive.text(layout.SECRETS)
    if sealed is None:
        raise BadArchive(
            archive.path, "it holds no secrets", hint="leave the passphrase out; new ones are made"
        )
    found = unseal(sealed, passphrase)
    for name in found:
        if not re.fullmatch(r"[a-z0-9_]+", name):
            raise BadArchive(archive.path, f"it names a secret {name!r}, which is no file's name")
    return found


@contextmanager
def _taken(folder: SecretFolder, secrets: Mapping[str, str]) -> Iterator[None]:
    """Have the archive's secrets be the stack's, unless it is not deployed."""
    new = set(secrets) - set(folder.names())
    try:
        for name, value in secrets.items():
            folder.take(name, value)
        yield
    except BaseException:
        for name in new:
            folder.forget(name)
        raise


def _refuse_without_room(archive: Archive, deployment: Deployment) -> None:
    if deployment.scenario.uses_data_folder or deployment.host.volumes_in_data:
        require_room(deployment.data, int(archive.manifest["bytes"]), "what the archive holds")


def _make_way(door: Held, options: Options, meter: Meter, progress: Progress) -> None:
    """Refuse a stack that holds something, or keep a copy of it."""
    deployment = door.deployment
    if deployment.backend.census(deployment).empty and not deployment.artifacts.measure(deployment):
        return
    if options.replace is None:
        raise UserError(
            f"stack {deployment.stack.name!r} holds data",
            hint="restore under another name with --name, or take its place with --replace, "
            "which backs it up first; nothing was changed",
        )
    backup_held(door, options.replace, meter=meter, progress=progress)
    progress(f"what {deployment.stack.name} held is in {options.replace}")


def _replace(
    archive: Archive,
    door: Held,
    options: Options,
    known: keys.Known,
    meter: Meter,
    progress: Progress,
) -> None:
    deployment = door.deployment
    stack, runtime = deployment.stack, deployment.runtime
    door.save(door.manifest.with_(status=STATUS))
    deployment.start(options.timeout, progress)
    runtime.stop(stack, deployment.servers)
    meter.expect(f"restoring {stack.name}", int(archive.manifest["bytes"]))
    deployment.artifacts.clear(deployment)
    with _explained(stack.name, options):
        _load(archive, deployment, meter)
    keys.take_over(deployment, known, progress)
    deployment.start(options.timeout, progress)
    with _explained(stack.name, options):
        compare_counts(archive, deployment)
    readiness.prove(deployment, progress)
    door.save(door.manifest.with_(status="deployed"))


def _load(archive: Archive, deployment: Deployment, meter: Meter) -> None:
    database = counted(archive.section("database"), meter)
    deployment.backend.load(deployment, database, str(archive.manifest["revision"]))
    deployment.artifacts.load(deployment, _artifacts(archive, meter))
    moved = locations.relocations(
        archive.manifest["locations"],
        locations.roots(deployment.scenario, deployment.settings, deployment.data),
    )
    moved += elsewhere.moves(archive.manifest, deployment.root)
    deployment.backend.settle(deployment, moved)


@contextmanager
def _explained(name: str, options: Options) -> Iterator[None]:
    """What fails here may be the machine's fault or the archive's: say how to go on with each."""
    try:
        yield
    except MachineError as error:
        hint = _how_to_go_on(name, options)
        raise MachineError(error.message, hint=hint, details=error.details) from error
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise MachineError(what, hint=_how_to_go_on(name, options)) from error


def _how_to_go_on(name: str, options: Options) -> str:
    again = "if this machine failed, mend that and run the same command again"
    if options.scratch:
        return f"{again}; if the archive is at fault, take another backup"
    # One that goes on after an earlier try has made none.
    made = options.replace and options.replace.exists()
    held = f", as {options.replace} with what it held" if made else ""
    return (
        f"stack {name!r} is half restored; {again}; if the archive is at fault, restore another "
        f"one{held}: stackctl restore FILE --name {name}; or give it up: "
        f"stackctl remove {name} --volumes"
    )


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


def compare_counts(archive: Archive, deployment: Deployment) -> None:
    """The backend store holds as much as the archive says.

    Raises:
        MachineError: It does not.
    """
    there = deployment.backend.census(deployment).counts
    if differs := unlike(archive.manifest["counts"], there):
        raise MachineError(f"there are {differs}")
