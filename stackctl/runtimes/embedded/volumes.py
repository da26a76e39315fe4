"""Folders in which services of the embedded runtime keep their data: made, owned, recognised.

They are laid out inside as Docker's volumes of the same names are.
"""

import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackctl.errors import MachineError, UserError
from stackctl.machine import check_writable
from stackctl.runtimes.embedded import components, folders
from stackctl.services import SERVICES
from stackctl.settings import Settings
from stackctl.stack import Stack
from stackctl.versions import POSTGRES_MAJOR

_OWNER_MARK = ".stackctl-owner"


def folder(stack: Stack, settings: Settings, name: str, user: str) -> Path:
    """The folder of a volume: where it was made, else in the data folder.

    Where root deploys, the user who runs a database may not pass through root's folders.
    """
    if kept := folders.volumes(stack).get(name):
        return kept
    wanted = stack.data(settings.data) / name
    if user and SERVICES[name].refuses_root and not components.reachable(wanted.parent, user):
        return system_folder(stack) / name
    return wanted


def of_stack(stack: Stack) -> dict[str, Path]:
    """The folders that are there and are the stack's own, by volume."""
    return {name: path for name, path in folders.volumes(stack).items() if _is_ours(stack, path)}


def refuse_foreign(stack: Stack, name: str, path: Path) -> None:
    """The folder holds nothing that is not this stack's, or of another database's version.

    Raises:
        UserError: Saying what is wrong with it.
        MachineError: The disk is full.
    """
    check_writable(path)
    if not path.exists():
        manifest = stack.manifest()
        if manifest is not None and manifest.deployed_at and name in folders.volumes(stack):
            raise UserError(
                f"folder {path} with the data of service {name} is gone",
                hint="is a disk not mounted? If the data shall be lost: "
                f"stackctl remove {stack.name} --volumes",
            )
        return
    if any(path.iterdir()) and not _is_ours(stack, path):
        raise UserError(
            f"{path} is there already and does not belong to stack {stack.name!r} of "
            f"{stack.home.path}",
            hint="choose another folder with --set data=DIR; nothing was changed",
        )
    for version in path.glob("*/docker/PG_VERSION"):
        made_by = version.read_text(encoding="utf-8").strip()
        if made_by != POSTGRES_MAJOR:
            raise UserError(
                f"{version.parent} was made by PostgreSQL {made_by}, and this stackctl brings "
                f"{POSTGRES_MAJOR}",
                hint="use a stackctl that brings the same version; nothing was changed",
            )


def make_all(stack: Stack, wanted: Mapping[str, Mapping[str, Any]]) -> None:
    """Make the folders that services need, and give them to those who run the services.

    Args:
        stack: Whose.
        wanted: The description of each service.

    Raises:
        MachineError: One cannot be made.
    """
    try:
        for description in wanted.values():
            user = description.get("user", "")
            if volume := description.get("volume"):
                _make(Path(volume), user)
                mark = Path(volume) / _OWNER_MARK
                if not mark.exists():
                    mark.write_text(f"{stack.owner}\n", encoding="utf-8")
            if user:
                _make(Path(description["folder"]), user)
    except OSError as error:
        raise MachineError(
            f"{error.filename} cannot be made: {error.strerror}",
            hint="free some space, or make the folder writable",
        ) from error


def system_folder(stack: Stack) -> Path:
    """The place of what another user must reach, where root deploys."""
    return components.SYSTEM_FOLDER / stack.owner


def forget_system_folder(stack: Stack) -> None:
    """Delete it where nothing is in it any more."""
    path = system_folder(stack)
    if path.is_dir() and not any(path.iterdir()):
        path.rmdir()


def _make(path: Path, user: str) -> None:
    for folder in reversed([p for p in path.parents if not p.exists()]):
        folder.mkdir()
        if user:
            # Made here, so no mode is widened; root's umask may close it to the user.
            folder.chmod(0o755)
    path.mkdir(mode=0o700, exist_ok=True)
    if user:
        account = pwd.getpwnam(user)
        if path.stat().st_uid != account.pw_uid:
            os.chown(path, account.pw_uid, account.pw_gid)


def _is_ours(stack: Stack, path: Path) -> bool:
    try:
        return (path / _OWNER_MARK).read_text(encoding="utf-8").strip() == stack.owner
    except OSError:
        return False
