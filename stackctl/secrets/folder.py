"""Secrets: one file each, 0600 in a 0700 folder, generated where missing, never printed.

Nothing but the services that need a value, and the round trip that proves them, reads it.
"""

import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from stackctl import resources
from stackctl.errors import BadSecret, MachineError
from stackctl.secrets.rules import rule
from stackctl.secrets.value import Secret, forms

# A file that is on its way; a kill may leave it.
PART = ".part"


@dataclass(frozen=True)
class SecretState:
    """What may be told of a secret: everything but its value."""

    name: str
    present: bool
    mode: str
    changed: datetime | None
    problem: str


class SecretFolder:
    """The secrets of one stack, in `.secrets/STACK/`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ensure(self, names: list[str]) -> list[str]:
        """Generate those of `names` that are missing; returns their names.

        Raises:
            BadSecret: A file or folder on the way is not what it should be, or one is missing that
                nobody can generate. Nothing is written.
            MachineError: The folder cannot be written.
        """
        self.check_folder()
        missing = [name for name in names if not os.path.lexists(self.path / name)]
        for name in names:
            if name not in missing or rule(name).given:
                self.read(name)
        if not missing:
            return []
        try:
            for folder in (self.path.parent, self.path):
                folder.mkdir(mode=0o700, exist_ok=True)
            for name in sorted(missing, key=lambda name: bool(rule(name).of)):
                of = rule(name).of
                made = rule(name).made_of(self.read(of).reveal()) if of else rule(name).generate()
                self._write(name, made)
        except OSError as error:
            raise self._cannot_write(error) from error
        return missing

    def read(self, name: str) -> Secret:
        """The secret `name`, checked.

        Raises:
            BadSecret: Missing, readable by others, empty, a placeholder, or ending in a newline.
        """
        path = self.path / name
        self.check_folder()
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            raise BadSecret(
                path, "is missing", f"put the value there, mode 0600: {_how(name)}"
            ) from None
        except OSError as error:
            raise BadSecret(
                path, f"cannot be opened ({error.strerror})", "make it a plain file of yours"
            ) from error
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            os.close(handle)
            raise BadSecret(path, "is not a plain file", "move it away, or make it a plain file")
        with os.fdopen(handle, "rb") as file:
            mode, raw = stat.S_IMODE(info.st_mode), file.read(65536)
        if mode & 0o077:
            raise BadSecret(
                path, f"others can read it (mode {mode:04o})", f"run: chmod 600 '{path}'"
            )
        return Secret(name, _checked(path, name, raw))

    def states(self, names: list[str]) -> list[SecretState]:
        """What may be told of each of `names`."""
        found = []
        for name in names:
            path = self.path / name
            try:
                info = path.lstat()
            except OSError:
                found.append(SecretState(name, False, "", None, "missing"))
                continue
            problem = ""
            try:
                self.read(name)
            except BadSecret as error:
                problem = error.reason
            changed = datetime.fromtimestamp(info.st_mtime, UTC)
            found.append(
                SecretState(name, True, f"{stat.S_IMODE(info.st_mode):04o}", changed, problem)
            )
        return found

    def names(self) -> list[str]:
        """The names of all files in the folder."""
        return sorted(path.name for path in self.path.iterdir()) if self.path.is_dir() else []

    def values(self) -> list[str]:
        """Every value in the folder, for redacting text, as it is and as it may be written.

        A URI has it percent-encoded, an INI file with each % twice, JSON with escapes. Files that
        cannot be read are left out.
        """
        if not self.path.is_dir() or self.path.is_symlink():
            return []
        found = []
        for path in self.path.iterdir():
            if path.is_file() and not path.is_symlink():
                try:
                    found.append(path.read_text(encoding="utf-8"))
                except (OSError, UnicodeDecodeError):
                    continue
        return [form for value in found if len(value) >= 4 for form in forms(value)]

    def write(self, name: str, value: str) -> None:
        """Write a file, in place of one that is there: at every moment one of both is whole.

        Raises:
            MachineError: The folder cannot be written.
        """
        try:
            (self.path / PART).unlink(missing_ok=True)
            self._write(PART, value)
        except OSError as error:
            raise self._cannot_write(error) from error
        self.rename(PART, name)

    def rename(self, name: str, new: str) -> None:
        """Let the file `name` take the place of `new`, for good when this returns.

        Raises:
            MachineError: The folder cannot be written.
        """
        try:
            (self.path / name).replace(self.path / new)
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._cannot_write(error) from error

    def take(self, name: str, value: str) -> None:
        """Write a secret that has no file yet; one that has is left as it is.

        Raises:
            BadSecret: The value, or a file or folder on the way is not what it should be.
            MachineError: The folder cannot be written.
        """
        self.check_folder()
        _checked(self.path / name, name, value.encode())
        try:
            for folder in (self.path.parent, self.path):
                folder.mkdir(mode=0o700, exist_ok=True)
            if not os.path.lexists(self.path / name):
                self._write(name, value)
        except OSError as error:
            raise self._cannot_write(error) from error

    def forget(self, name: str) -> None:
        """Delete one secret, and the folder where nothing else is in it."""
        (self.path / name).unlink(missing_ok=True)
        for folder in (self.path, self.path.parent):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def delete(self, *, keep: Collection[str] = ()) -> None:
        """Remove all secrets but some; folder and parent too, where they are empty then."""
        self.check_folder()
        if not self.path.exists():
            return
        for path in self.path.iterdir():
            if path.name not in keep:
                path.unlink()
        if any(self.path.iterdir()):
            return
        self.path.rmdir()
        if not any(self.path.parent.iterdir()):
            self.path.parent.rmdir()

    def check_folder(self) -> None:
        """Folder and parent are folders of the user alone, or do not exist yet.

        Raises:
            BadSecret: Saying which is not.
        """
        for folder in (self.path.parent, self.path):
            if folder.is_symlink():
                raise BadSecret(
                    folder, "is a symbolic link", "make it a folder of its own, mode 0700"
                )
            if not folder.exists():
                continue
            if not folder.is_dir():
                raise BadSecret(folder, "is not a folder", "move the file away")
            mode = stat.S_IMODE(folder.stat().st_mode)
            if mode & 0o077:
                raise BadSecret(
                    folder, f"others can read it (mode {mode:04o})", f"run: chmod 700 '{folder}'"
                )

    def _cannot_write(self, error: OSError) -> MachineError:
        return MachineError(
            f"secrets cannot be written to {self.path}: {error.strerror}",
            hint="free some space, or make the folder writable",
        )

    def _write(self, name: str, value: str) -> None:
        handle = os.open(self.path / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(value)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            (self.path / name).unlink(missing_ok=True)
            raise


@cache
def placeholders() -> Mapping[str, str]:
    """Name and text of each placeholder in `.secrets.example/`."""
    return {
        item.name: item.read_text(encoding="utf-8").strip()
        for item in resources.folder(".secrets.example").iterdir()
        if not item.name.startswith((".", "README"))
    }


def _checked(path: Path, name: str, raw: bytes) -> str:
    try:
        value = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadSecret(path, "is not UTF-8 text", f"write it anew: {_how(name)}") from None
    if not value.strip():
        raise BadSecret(path, "is empty", "delete it to have one generated, or put the value there")
    lines = rule(name).lines
    if value.endswith(("\n", "\r")) and not lines:
        raise BadSecret(path, "ends with a newline", f"write it without one: {_how(name)}")
    plain = value.replace("\r", "").replace("\n", "") if lines else value
    if any(ord(char) < 32 or ord(char) == 127 for char in plain):
        raise BadSecret(path, "has control characters", f"write it anew: {_how(name)}")
    for placeholder, text in placeholders().items():
        if value.strip() == text:
            raise BadSecret(
                path,
                f"is the placeholder of .secrets.example/{placeholder}",
                "delete it to have one generated, or put the real value there",
            )
    if problem := rule(name).problem(value):
        raise BadSecret(path, problem, _how(name))
    return value


def _how(name: str) -> str:
    if rule(name).lines:
        return "cp YOURS.pem FILE && chmod 600 FILE"
    return "printf %s 'VALUE' > FILE && chmod 600 FILE"
