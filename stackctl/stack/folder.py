"""A deployed scenario: its name, its folders, its lock and its manifest.

Everything stackctl keeps lies below one *home* folder, by default the nearest folder upwards
that holds `.stackctl/` or `stackctl.toml`, else the current one:

    stackctl.toml                  what was chosen about each stack
    .stackctl/NAME/bundle/         the rendered files
    .stackctl/NAME/state/          what services keep that act as whoever deploys: certificates
    .stackctl/NAME/manifest.json   what was deployed
    .stackctl/NAME/lock            held while a command changes the stack
    .stackctl/NAME/run/            sockets, marks and what is on its way (embedded runtime)
    .stackctl/NAME/logs/           the services' logs (embedded runtime)
    .secrets/NAME/                 one file for each secret
    data/NAME/                     local stores, unless `data` names another folder
"""

import json
import os
import pwd
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from stackctl.errors import Busy, MachineError, UnknownName, UserError
from stackctl.secrets import SecretFolder
from stackctl.settings import NAME_RULE, SETTINGS_FILE, Settings, is_name, stored
from stackctl.stack.files import cannot_write, write_files
from stackctl.stack.manifest import Manifest

STATE_FOLDER = ".stackctl"


@dataclass(frozen=True)
class Home:
    """The folder that holds a user's stacks."""

    path: Path

    @classmethod
    def find(cls, given: Path | None = None) -> "Home":
        """The folder given, else `$STACKCTL_HOME`, else the nearest upwards that is one."""
        named = given or (Path(value) if (value := os.environ.get("STACKCTL_HOME")) else None)
        if named is not None:
            if not named.is_dir():
                raise UserError(
                    f"home folder {str(named)!r} does not exist", hint="create it first"
                )
            return cls(named.resolve())
        here = Path.cwd()
        for folder in (here, *here.parents):
            state, file = folder / STATE_FOLDER, folder / SETTINGS_FILE
            if (state.is_dir() and _is_own(state)) or (file.is_file() and _is_own(file)):
                return cls(folder)
        return cls(here)

    @property
    def scenarios(self) -> Path:
        """The user's own scenario files."""
        return self.path / "scenarios"

    @property
    def dotenv(self) -> Path:
        """The user's settings for every stack."""
        return self.path / ".env"

    @property
    def settings_file(self) -> Path:
        """What was chosen about each stack."""
        return self.path / SETTINGS_FILE

    def stack(self, name: str) -> "Stack":
        """The stack `name`, deployed or not.

        Raises:
            UserError: No stack can have that name, which may come from an archive.
        """
        if not is_name(name):
            raise UserError(f"{name!r} is no name of a stack", hint=NAME_RULE)
        return Stack(self, name)

    def stacks(self) -> list["Stack"]:
        """The stacks that have a manifest."""
        folder = self.path / STATE_FOLDER
        if not folder.is_dir():
            return []
        return [
            Stack(self, entry.name)
            for entry in sorted(folder.iterdir())
            if (entry / "manifest.json").is_file()
        ]

    def choose(self, name: str | None) -> "Stack":
        """The stack a command is about: the one named, else the only one there is.

        Raises:
            UnknownName: There is no stack of that name.
            UserError: None was named, and there is none, or more than one.
        """
        known = [stack.name for stack in self.stacks()]
        name = name or os.environ.get("STACKCTL_STACK")
        if name:
            if name not in known:
                if not known:
                    raise UserError(
                        f"there is no stack {name!r}: none was deployed from {self.path}",
                        hint="run: stackctl deploy SCENARIO",
                    )
                raise UnknownName("stack", name, known)
            return self.stack(name)
        if not known:
            raise UserError(
                f"no stack was deployed from {self.path}", hint="run: stackctl deploy scenario-3b"
            )
        if len(known) > 1:
            raise UserError(
                f"there are {len(known)} stacks: {', '.join(known)}", hint="name one of them"
            )
        return self.stack(known[0])


@dataclass(frozen=True)
class Stack:
    """One stack of a home.

    Attributes:
        home: Which.
        name: Its name.
        files: The folder of its rendered files; another one than `bundle` for what is not yet, or
            no longer, deployed.
    """

    home: Home
    name: str
    files: str = "bundle"

    @property
    def folder(self) -> Path:
        """Where stackctl keeps what it knows of the stack."""
        return self.home.path / STATE_FOLDER / self.name

    @property
    def state(self) -> Path:
        """What services keep that act as whoever deploys."""
        return self.folder / "state"

    @property
    def proxy_state(self) -> Path:
        """What the proxy keeps: certificates, and its account at an authority."""
        return self.state / "proxy"

    @property
    def bundle(self) -> Path:
        """The rendered files."""
        return self.folder / self.files

    @property
    def secrets(self) -> SecretFolder:
        """The stack's secrets."""
        return SecretFolder(self.home.path / ".secrets" / self.name)

    @property
    def owner(self) -> str:
        """The mark of this stack's containers, volumes and networks.

        Derived from the home's path, and kept in the manifest from the first deploy on, so that
        a home that was moved still owns its volumes.
        """
        manifest = self.manifest()
        if manifest is not None:
            return manifest.owner
        return uuid.uuid5(uuid.NAMESPACE_URL, f"stackctl:{self.home.path}#{self.name}").hex

    def data(self, setting: str) -> Path:
        """The data folder, as the setting `data` names it."""
        return self.home.path / (Path(setting).expanduser() if setting else f"data/{self.name}")

    def manifest(self) -> Manifest | None:
        """What was deployed; None where nothing was.

        Raises:
            MachineError: The file is damaged, or this user may not read it.
        """
        path = self.folder / "manifest.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return Manifest.read(values)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise MachineError(
                f"{path} is damaged: {error}",
                hint="move it away; the data and the secrets do not depend on it",
            ) from error
        except OSError as error:
            raise MachineError(
                f"{path} cannot be read: {error.strerror}",
                hint="act as the user who deployed the stack",
            ) from error

    def require_manifest(self) -> Manifest:
        """The manifest of a stack that exists.

        Raises:
            UserError: The stack was never deployed.
        """
        manifest = self.manifest()
        if manifest is None:
            raise UserError(f"stack {self.name!r} was never deployed", hint="run: stackctl deploy")
        return manifest

    def data_folder(self, manifest: Manifest) -> Path | None:
        """The data folder of the last deploy, also where the home was moved since."""
        return self.as_of_now(manifest, manifest.data) if manifest.data else None

    def as_of_now(self, manifest: Manifest, path: str) -> Path:
        """Where a path of the last deploy is, also where the home was moved since."""
        then, home = Path(path), Path(manifest.home or self.home.path)
        return self.home.path / then.relative_to(home) if then.is_relative_to(home) else then

    def copied_from(self, manifest: Manifest) -> Path | None:
        """The home of which this one is a copy, and which still has the stack; None: it is none.

        What one home does would happen to the other's services and data.
        """
        home = Path(manifest.home or self.home.path)
        if home == self.home.path:
            return None
        other = Home(home).stack(self.name)
        theirs = other.manifest()
        if theirs is None or other.folder.samefile(self.folder):  # a link leads here
            return None
        return home if theirs.owner == manifest.owner else None

    def refuse_copy(self, manifest: Manifest) -> None:
        """This home is not a copy of another one that still has the stack.

        Raises:
            UserError: It is.
        """
        if home := self.copied_from(manifest):
            raise UserError(
                f"{self.folder} is a copy: stack {self.name!r} belongs to {home}",
                hint=f"work there, or delete {self.folder} and choose another name",
            )

    def settings(self, manifest: Manifest) -> Settings:
        """The settings of the last deploy.

        Raises:
            UserError: This version of stackctl does not take them.
        """
        return stored(manifest.settings, str(self.folder / "manifest.json"))

    def save(self, manifest: Manifest) -> None:
        """Replace the manifest, whole or not at all."""
        text = json.dumps(asdict(manifest), indent=2, sort_keys=True, default=str) + "\n"
        write_files(self.folder, {"manifest.json": (text, 0o600)})

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the stack against every other process; a lock whose holder died is free.

        Raises:
            Busy: Another process holds it.
            UserError: Another user deployed the stack.
            MachineError: The folder cannot be written.
        """
        self._refuse_another_user()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / "lock", timeout=0, mode=0o600)
            lock.acquire()
        except Timeout as error:
            raise Busy(
                f"another stackctl is working on stack {self.name!r}",
                hint="wait for it to end, then try again",
            ) from error
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        try:
            yield
        finally:
            lock.release()

    def _refuse_another_user(self) -> None:
        """What another user's processes and files belong to would be theirs no longer."""
        if self.folder.exists() and (uid := self.folder.stat().st_uid) != os.geteuid():
            try:
                name = pwd.getpwuid(uid).pw_name
            except KeyError:
                name = f"uid {uid}"
            raise UserError(
                f"stack {self.name!r} was deployed by {name}",
                hint=f"act as that user: sudo -u {name} stackctl …; nothing was changed",
            )

    def forget(self) -> None:
        """Delete what stackctl knows of the stack; data and secrets are not touched."""
        shutil.rmtree(self.folder)
        parent = self.folder.parent
        if not any(parent.iterdir()):
            parent.rmdir()


def _is_own(sign: Path) -> bool:
    """Somebody else's, below /tmp for example, must not say what is deleted here."""
    return sign.stat().st_uid == os.geteuid()
