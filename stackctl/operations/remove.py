"""Remove: services and networks go, the data stays unless its deletion was asked for by name."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from stackctl.errors import MachineError
from stackctl.runtimes.base import Progress, Runtime
from stackctl.stack import Stack


@dataclass(frozen=True)
class Losses:
    """What `remove --volumes` would delete for ever."""

    volumes: tuple[str, ...]
    data: Path | None
    kept_data: Path | None
    secrets: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"  volume   {name}" for name in self.volumes]
        lines += [f"  folder   {self.data}"] if self.data else []
        lines += [f"  secret   {name}" for name in self.secrets]
        if self.kept_data:
            lines.append(f"  (kept: {self.kept_data}, which stackctl did not make)")
        return "\n".join(lines)


def losses(stack: Stack, runtime: Runtime) -> Losses:
    """What `remove --volumes` would delete."""
    manifest = stack.require_manifest()
    data = Path(manifest.data) if manifest.data and Path(manifest.data).exists() else None
    return Losses(
        volumes=tuple(sorted(runtime.observe(stack).volumes)),
        data=data if manifest.data_created else None,
        kept_data=None if manifest.data_created else data,
        secrets=tuple(s.name for s in stack.secrets.states(list(manifest.secrets)) if s.present),
    )


def remove(stack: Stack, runtime: Runtime, *, progress: Progress) -> None:
    """Take services and networks away; volumes, data folder, secrets and settings stay.

    Raises:
        UserError: The stack was never deployed.
        MachineError: Something of it could not be removed.
    """
    with stack.locked():
        manifest = stack.require_manifest()
        runtime.remove(stack)
        stack.save(manifest.with_(status="removed"))
        progress(f"removed {stack.name}; its data and secrets are kept")


def remove_with_data(stack: Stack, runtime: Runtime, *, progress: Progress) -> None:
    """Take everything of the stack away, its data too.

    Raises:
        UserError: The stack was never deployed.
        MachineError: Something of it could not be removed.
    """
    with stack.locked():
        lost = losses(stack, runtime)
        runtime.remove(stack, volumes=frozenset(lost.volumes))
        try:
            if lost.data is not None:
                shutil.rmtree(lost.data)
                _remove_if_empty(lost.data.parent, stack.home.path / "data")
            stack.secrets.delete()
        except OSError as error:
            raise MachineError(
                f"{error.filename or lost.data} could not be deleted: {error.strerror}",
                hint="mend that, and run the same command again",
            ) from error
        stack.forget()
    progress(f"removed {stack.name} with its data")
    if lost.kept_data:
        progress(f"kept {lost.kept_data}: stackctl did not make it")


def _remove_if_empty(folder: Path, only: Path) -> None:
    if folder == only and not any(folder.iterdir()):
        folder.rmdir()
