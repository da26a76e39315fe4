"""Debian's Chromium: the machine's own, else unpacked into the tests' cache, never installed.

apt says what this machine lacks for it, and downloads just that; it needs no root for either.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from tests.engine.cache import cache_folder

PACKAGES = ("chromium", "fonts-liberation")
PROGRAM = "usr/lib/chromium/chromium"
SECONDS = 600
# As root in a container, and where /dev/shm is small.
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
# What the packages' own scripts would set up, which are not run.
FONTS = """\
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>{tree}/usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
  <alias binding="same">
    <family>Arial</family><prefer><family>Liberation Sans</family></prefer>
  </alias>
  <alias><family>sans-serif</family><prefer><family>Liberation Sans</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>Liberation Mono</family></prefer></alias>
</fontconfig>
"""


class ChromiumUnavailable(Exception):
    """There is no browser, and none can be had; one line with the reason and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; install chromium, so that it is on PATH")


@dataclass(frozen=True)
class Chromium:
    """A program, and what it needs in its environment."""

    program: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def starts(self) -> bool:
        """Are all its libraries there?"""
        command = [str(self.program), "--version"]
        done = subprocess.run(
            command, env={**os.environ, **self.variables}, capture_output=True, check=False
        )
        return done.returncode == 0


def find() -> Chromium:
    """Chromium for this machine.

    Raises:
        ChromiumUnavailable: With the reason.
    """
    if own := shutil.which("chromium"):
        return Chromium(Path(own))
    cache = cache_folder()
    made_of = Path(__file__).read_bytes() + str(cache).encode()
    tree = cache / f"chromium-{hashlib.sha256(made_of).hexdigest()[:16]}"
    with FileLock(f"{tree}.lock"):
        # A library that was the machine's own may be gone since.
        if tree.is_dir() and not _unpacked(tree).starts():
            shutil.rmtree(tree)
        if not tree.is_dir():
            _make(tree)
    return _unpacked(tree)


def _make(tree: Path) -> None:
    with tempfile.TemporaryDirectory(dir=tree.parent) as scratch:
        fresh = Path(scratch) / "tree"
        for package in _download(Path(scratch) / "apt"):
            _run("dpkg-deb", "--extract", str(package), str(fresh))
        if not (fresh / PROGRAM).exists():
            raise ChromiumUnavailable("the package chromium of this machine's apt holds no browser")
        (fresh / "fonts.conf").write_text(FONTS.format(tree=tree), encoding="utf-8")
        fresh.rename(tree)
    if not _unpacked(tree).starts():
        raise ChromiumUnavailable(f"the unpacked {tree / PROGRAM} does not start")


def _download(folder: Path) -> list[Path]:
    """The packages that this machine lacks. Nothing of its own apt is touched."""
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "cache/archives/partial").mkdir(parents=True)
    options = [
        f"Dir::State::lists={folder / 'lists'}",
        f"Dir::Cache={folder / 'cache'}",
        "Debug::NoLocking=true",
        "APT::Install-Recommends=false",
        "APT::Sandbox::User=",
    ]
    apt = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
    _run(*apt, "update")
    _run(*apt, "install", "--download-only", "--yes", *PACKAGES)
    return sorted((folder / "cache/archives").glob("*.deb"))


def _unpacked(tree: Path) -> Chromium:
    program = tree / PROGRAM
    libraries = [*tree.glob("**/*.so"), *tree.glob("**/*.so.[0-9]*")]
    found = {path.parent for path in libraries} - {program.parent}
    variables = {
        "LD_LIBRARY_PATH": ":".join(str(folder) for folder in sorted(found)),
        "FONTCONFIG_FILE": str(tree / "fonts.conf"),
    }
    return Chromium(program, variables)


def _run(*command: str) -> None:
    if not shutil.which(command[0]):
        raise ChromiumUnavailable(f"there is no chromium on PATH and no {command[0]} to fetch it")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as expired:
        raise ChromiumUnavailable(f"{command[0]} took over {SECONDS} s") from expired
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()
        raise ChromiumUnavailable(f"{command[0]} failed: {lines[-1]}")
