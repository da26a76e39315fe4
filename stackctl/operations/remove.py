"""Remove: services and networks go, the data stays unless its deletion was asked for by name."""

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from stackctl.deployment import Deployment
from stackctl.errors import MachineError, UserError
from stackctl.operations import external
from stackctl.operations.held import held
from stackctl.progress import Progress
from stackctl.render.database import OF_EXTERNAL
from stackctl.stack import HALF_DONE, Stack, choices


@dataclass(frozen=True)
class Losses:
    """What `remove --volumes` would delete for ever."""

    volumes: tuple[str, ...]
    data: Path | None
    kept_data: Path | None
    secrets: tuple[str, ...]
    kept_keys: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()

    @property
    def _what_stays(self) -> str:
        return ", ".join(self.elsewhere) or "what MLflow encrypted"

    def __str__(self) -> str:
        lines = [f"  volume   {name}" for name in self.volumes]
        lines += [f"  folder   {self.data}"] if self.data else []
        lines += [f"  secret   {name}" for name in self.secrets]
        if self.kept_data:
            lines.append(f"  (kept: {self.kept_data}, which stackctl did not make)")
        if self.kept_keys:
            lines.append(f"  (kept: {', '.join(self.kept_keys)}, which open {self._what_stays})")
        lines += [f"  (kept: {what}, which somebody else runs)" for what in self.elsewhere]
        return "\n".join(lines)


def losses(deployment: Deployment) -> Losses:
    """What `remove --volumes` would delete."""
    stack = deployment.stack
    manifest = stack.require_manifest()
    data = stack.data_folder(manifest)
    data = data if data is not None and data.exists() else None
    ours = data is not None and manifest.data_created and not data.is_symlink()
    kind, elsewhere = deployment.scenario.backend_kind, deployment.has_database_elsewhere
    stays = data is not None and not ours and kind.local and deployment.backend.is_in(data)
    kept = {key.secret for key in kind.keys} if stays or elsewhere else set[str]()
    if elsewhere:
        # Of a password that was rotated nobody has another copy.
        kept |= OF_EXTERNAL
    names = stack.secrets.names()
    return Losses(
        volumes=tuple(sorted(deployment.runtime.observe(stack).volumes)),
        data=data if ours else None,
        kept_data=None if ours else data,
        secrets=tuple(name for name in names if name not in kept),
        kept_keys=tuple(name for name in names if name in kept),
        elsewhere=tuple(external.places(deployment)),
    )


def remove(deployment: Deployment, *, progress: Progress) -> None:
    """Take services and networks away; volumes, data folder, secrets and settings stay.

    Raises:
        UserError: The stack was never deployed.
        MachineError: Something of it could not be removed.
    """
    with held(deployment, stopped=True, resumes=HALF_DONE, rotating=True) as door:
        deployment.runtime.remove(deployment.stack)
        if door.manifest.status not in HALF_DONE:
            door.save(door.manifest.with_(status="removed"))
        progress(f"removed {deployment.name}; its data and secrets are kept")


def remove_with_data(deployment: Deployment, *, progress: Progress) -> None:
    """Take everything of the stack away, its data too.

    Raises:
        UserError: The stack was never deployed.
        MachineError: Something of it could not be removed.
    """
    stack = deployment.stack
    with held(deployment, stopped=True, resumes=HALF_DONE, rotating=True) as door:
        stack.secrets.check_folder()
        lost = losses(deployment)
        _refuse_shared_data(stack, lost)
        if deployment.has_database_elsewhere:
            external.release(deployment, progress)
        deployment.runtime.remove(stack, lost=frozenset(lost.volumes))
        try:
            if lost.data is not None:
                shutil.rmtree(lost.data)
                _remove_if_empty(lost.data.parent, stack.home.path / "data")
            stack.secrets.delete(keep=lost.kept_keys)
        except OSError as error:
            raise MachineError(
                f"{error.filename or lost.data} could not be deleted: {error.strerror}",
                hint="mend that, and run the same command again",
            ) from error
        door.forget()
    progress(f"removed {stack.name} with its data")
    with contextlib.suppress(UserError):  # what else the file says is not the matter here
        if choices.has(stack):
            progress(f"kept its settings in {stack.home.settings_file}; to take them out, run: "
                     f"stackctl config unset {stack.name} --all")  # fmt: skip
    for what in lost.elsewhere:
        progress(f"kept {what}: somebody else runs it")
    if lost.kept_data:
        progress(f"kept {lost.kept_data}: stackctl did not make it")
    if lost.kept_keys:
        progress(
            f"kept {', '.join(lost.kept_keys)} in {stack.secrets.path}: without them nobody reads "
            f"what MLflow encrypted in {lost.kept_data or ', '.join(lost.elsewhere)}"
        )


def _refuse_shared_data(stack: Stack, lost: Losses) -> None:
    """No other stack of the home keeps its data in, around or below the folder."""
    if lost.data is None:
        return
    ours = lost.data.resolve()
    for other in stack.home.stacks():
        manifest = other.manifest()
        found = other.data_folder(manifest) if manifest is not None else None
        if other.name == stack.name or found is None:
            continue
        # However the folder is named, and whatever link leads there.
        theirs = found.resolve()
        if theirs.is_relative_to(ours) or ours.is_relative_to(theirs):
            raise UserError(
                f"data folder {lost.data} also holds the data of stack {other.name!r}",
                hint="nothing was deleted; without --volumes the stack goes and the data stays",
            )


def take_back_data(stack: Stack, data: Path) -> None:
    """Delete a data folder that was made moments ago, of which no client was told yet."""
    shutil.rmtree(data, ignore_errors=True)
    with contextlib.suppress(OSError):  # other stacks have theirs there
        (stack.home.path / "data").rmdir()


def _remove_if_empty(folder: Path, only: Path) -> None:
    if folder == only and not any(folder.iterdir()):
        folder.rmdir()
