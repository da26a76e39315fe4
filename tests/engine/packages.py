"""Debian packages the engine and the stand-in images need, installed only where missing."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.engine.errors import EngineUnavailable

# tool -> the package that carries it
TOOLS = {
    "dockerd": "docker.io",
    "mmdebstrap": "mmdebstrap",
    "busybox": "busybox-static",
}
# mmdebstrap checks signatures with it; Ubuntu has it in a package of its own.
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
APT_SECONDS = 600
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find_tool(name: str) -> str | None:
    """The path of a system tool, also where the caller's PATH leaves out the sbin folders."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")


def install_missing() -> None:
    """Make every tool in TOOLS available. Raises EngineUnavailable with the reason if it cannot."""
    missing = sorted({package for tool, package in TOOLS.items() if find_tool(tool) is None})
    if not KEYRING.exists():
        missing.append("debian-archive-keyring")
    if not missing:
        return
    wanted = ", ".join(missing)
    if not (Path("/etc/debian_version").exists() and find_tool("apt-get")):
        raise EngineUnavailable(f"{wanted} is missing and this is not a Debian-like machine")
    if os.geteuid() != 0:
        raise EngineUnavailable(f"{wanted} is missing and only root may install it")
    _apt("update", "-qq")
    _apt("install", "-y", "-qq", "--no-install-recommends", *_with_client(missing))


def _with_client(missing: list[str]) -> list[str]:
    # Since trixie, docker.io no longer carries the client and only recommends docker-cli.
    if "docker.io" not in missing:
        return missing
    known = subprocess.run(["apt-cache", "show", "docker-cli"], capture_output=True, check=False)
    return [*missing, "docker-cli"] if known.returncode == 0 else missing


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            ["apt-get", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=APT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        raise EngineUnavailable(f"apt-get {arguments[0]} took over {APT_SECONDS} s") from expired
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise EngineUnavailable(f"apt-get {arguments[0]} failed: {last}")
