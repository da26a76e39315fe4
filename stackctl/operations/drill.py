"""Drill: an archive is restored into a stack of its own, compared, and that stack taken away."""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackctl import scenarios, settings
from stackctl.archive import Archive
from stackctl.deployment import Deployment
from stackctl.errors import MachineError, UserError
from stackctl.machine import reserve
from stackctl.operations.comparison import first_unequal
from stackctl.operations.held import held
from stackctl.operations.remove import remove_with_data, take_back_data
from stackctl.operations.restore import Options, kept_settings, restore
from stackctl.progress import Meter, Progress
from stackctl.runtimes import choice
from stackctl.scenario import Scenario
from stackctl.services import PORT_SETTINGS
from stackctl.settings import Effective
from stackctl.stack import Home, Stack

# In the folder of a stack that a drill made, which nobody else's stack has.
_MARK = "drill"
# A rehearsal is for nobody else.
_HERE = ("bind=127.0.0.1", "public_hosts=", "object_store_endpoint=", "public_url=", "tls=off",
         "http_port=", "trusted_proxies=", "replicas=1")  # fmt: skip


@dataclass(frozen=True)
class Rehearsal:
    """What a drill found.

    Attributes:
        seconds: How long the restore took, from its first byte to a checked stack.
        members: How many artifacts were compared, byte by byte.
        counts: What the restored store holds.
    """

    seconds: float
    members: int
    counts: dict[str, int]


def drill(
    archive: Archive,
    home: Home,
    runtime: str,
    *,
    as_it_was: bool = False,
    timeout: float,
    meter: Meter,
    progress: Progress,
) -> Rehearsal:
    """Restore an archive into a scratch stack of `home`, compare, and remove that.

    Args:
        archive: Which.
        home: Where the scratch stack is.
        runtime: As the setting of this name.
        as_it_was: The images that the archive names are run.
        timeout: Seconds for the services to become ready.
        meter: Told how far it is.
        progress: Told what goes on.

    Raises:
        UserError: The archive is bad, or a user's own stack has the scratch stack's name.
        MachineError: The restore failed, or something differs.
    """
    with _scratch(archive, home, runtime, progress, as_it_was=as_it_was) as deployment:
        begin = time.monotonic()
        options = Options(timeout=timeout, scratch=True)
        restore(archive, deployment, options, meter=meter, progress=progress)
        seconds = time.monotonic() - begin
        meter.expect("comparing artifacts", int(archive.manifest["bytes"]))
        with held(deployment):
            members = _compare(archive, deployment, meter)
            counts = dict(deployment.backend.census(deployment).counts)
        return Rehearsal(seconds, members, counts)


@contextmanager
def _scratch(
    archive: Archive, home: Home, runtime: str, progress: Progress, *, as_it_was: bool
) -> Iterator[Deployment]:
    """A stack on free ports that exists no longer than the context."""
    about = archive.manifest
    if about["settings"].get("object_store") == "external":
        raise UserError(
            f"{archive.path} is of a stack with an external object store, and a drill has no "
            "bucket of its own there",
            hint="deploy the scenario with another bucket, and restore into that stack",
        )
    # Nor for what its servers are told in MLflow's words, which may need a secret of theirs.
    told = settings.flat({k: about["settings"].get(k, {}) for k in ("server", "extra")})
    here = [*_HERE, *(f"{key}=" for key in told)]
    if about["settings"].get("auth") == "oidc":
        # Nobody is to log in at a provider that knows nothing of it.
        here.append("auth=basic")
    if about["settings"].get("database") == "external":
        # A throwaway one of its own takes the rows as well.
        here.append("database=own")
    kept = kept_settings(archive, here, as_it_was=as_it_was)
    found = scenarios.load(str(about["scenario"]), home.scenarios)
    stack = home.stack(f"{str(about['stack'])[:20]}-drill")
    _take_away(stack, progress)
    try:
        with ExitStack() as ports:
            # Until the services have them.
            effective = _settings(kept, found, stack, runtime, here, ports)
        data = stack.data(effective.settings.data)
        stack.folder.mkdir(parents=True)
        # A deploy that is killed may have made the folder, and not have come to note that.
        (stack.folder / _MARK).write_text("" if data.exists() else str(data), encoding="utf-8")
        yield Deployment(stack, found, effective, choice.choose(stack, found, effective).runtime)
    finally:
        _take_away(stack, progress)


def _settings(
    kept: tuple[Mapping[str, Any], str],
    found: Scenario,
    stack: Stack,
    runtime: str,
    here: Sequence[str],
    ports: ExitStack,
) -> Effective:
    first = settings.resolve(found, flags=here, kept=kept, environment={})
    flags = [f"name={stack.name}", f"runtime={runtime}", *here]
    for key in PORT_SETTINGS:
        if getattr(first.settings, key) is not None:
            port = ports.enter_context(reserve()).getsockname()[1]
            flags.append(f"{key}={port}")
    return settings.resolve(found, flags=flags, kept=kept, environment={})


def _take_away(stack: Stack, progress: Progress) -> None:
    """Remove the scratch stack, also one of a drill that was killed.

    Raises:
        UserError: The stack is not a drill's.
    """
    if not stack.folder.exists():
        return
    mark = stack.folder / _MARK
    if not mark.exists():
        raise UserError(
            f"there is a stack {stack.name!r}, which no drill made",
            hint="give that another name; nothing was changed",
        )
    made = mark.read_text(encoding="utf-8")
    if (manifest := stack.manifest()) is not None:
        if made and not manifest.data_created:
            # Killed before that was noted, and so before anything was started.
            take_back_data(stack, Path(made))
        remove_with_data(Deployment.recorded(stack), progress=progress)
    shutil.rmtree(stack.folder, ignore_errors=True)


def _compare(archive: Archive, deployment: Deployment, meter: Meter) -> int:
    """Compare every artifact of the stack with the archive's checksums; returns how many."""
    wanted = archive.checksums(("artifacts", "bucket"))
    if found := first_unequal(deployment, wanted, meter):
        name, is_there = found
        raise _differs(f"{name!r} differs from the archive" if is_there
                       else f"{name!r} was not restored")  # fmt: skip
    return len(wanted)


def _differs(what: str) -> MachineError:
    return MachineError(what, hint="run the drill again, and report it if it fails again")
