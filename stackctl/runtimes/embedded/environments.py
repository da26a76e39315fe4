"""MLflow in another release, or with more, than ships: each in a Python environment of its own.

The servers of a stack run from there, so an environment is made under another name and renamed
when it is whole, and is never changed afterwards.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

from stackctl.errors import MachineError
from stackctl.progress import Progress
from stackctl.render import Component
from stackctl.runtimes.embedded.components import SYSTEM_FOLDER, install_command
from stackctl.runtimes.explanations import missing_package
from stackctl.versions import WITH_OIDC, requirements

_LINES, _LETTERS = 10, 200


def folder(release: str) -> Path:
    """Where the environment of a release is, or would be: named by what is in it.

    For root it is one that the users can read to whom root gives services.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    content = "\n".join([python, sys.base_prefix, *requirements(release)])
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    return _root() / f"mlflow-{release}-{digest}"


def component(release: str) -> Component:
    """The component `mlflow` of a release, whether its environment is there or not."""
    programs = folder(release) / "bin"
    return Component("mlflow", f"mlflow {release}", {"mlflow": str(programs / "mlflow")})


def path(release: str, rest: str) -> str:
    """PATH of a server of that release."""
    return f"{folder(release) / 'bin'}:{rest}"


def make(release: str, progress: Progress) -> None:
    """Make the environment of a release, where it is not there: whole, or not at all.

    The packages come from where pip or uv of this user get theirs.

    Raises:
        MachineError: The release cannot be had, or the disk is full.
    """
    target = folder(release)
    if target.exists():
        return
    install = _installer(release)
    try:
        for place in (SYSTEM_FOLDER if os.geteuid() == 0 else target.parent, target.parent):
            if not place.exists():
                place.mkdir(parents=True)
                place.chmod(0o755)
        with FileLock(f"{target}.lock"):
            if not target.exists():
                progress(f"installing MLflow {release} into {target} (some minutes the first time)")
                _make(release, target, install)
    except OSError as error:
        raise MachineError(
            f"MLflow {release} cannot be installed into {target}: {error.strerror}",
            hint="free some space, or make the folder writable",
        ) from error


def _make(release: str, target: Path, install: list[str]) -> None:
    prefix = f".new-{target.name}-"
    for left in target.parent.glob(f"{prefix}*"):  # by one that was killed
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=prefix) as fresh:
        whole, wanted = Path(fresh) / "environment", Path(fresh) / "requirements.txt"
        wanted.write_text("".join(f"{line}\n" for line in requirements(release)), encoding="utf-8")
        _run([sys.executable, "-m", "venv", "--without-pip", str(whole)], release)
        python = str(whole / "bin" / "python")
        words = [word.replace("{python}", python) for word in install]
        # What is locked says itself what it needs.
        locked = ["--require-hashes", "--no-deps"] if release.endswith(WITH_OIDC) else []
        _run([*words, *locked, "--requirement", str(wanted)], release)
        _settle(whole, target)
        whole.rename(target)


def _root() -> Path:
    if os.geteuid() == 0:
        return SYSTEM_FOLDER / "mlflow"
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "stackctl" / "mlflow"


def _installer(release: str) -> list[str]:
    """The words that install into the environment of `{python}`."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "--python", "{python}", "install", "--quiet",
                "--disable-pip-version-check", "--no-input"]  # fmt: skip
    beside = Path(sys.executable).parent / "uv"
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        raise MachineError(
            f"MLflow {release} cannot be installed: {sys.executable} has no pip, and there is no "
            "uv",
            hint=f"install one of the two, then what stackctl needs: {install_command()}",
        )
    return [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", "{python}"]


def _run(words: list[str], release: str) -> None:
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", check=False,
        # Another user's service is to read it, whatever this user's files are.
        umask=0o022,
    )  # fmt: skip
    if done.returncode and (missing := missing_package(done.stdout)):
        raise MachineError(
            f"MLflow {release} cannot be installed: the package index has no {missing}",
            hint="wait until it has, or choose another release",
        )
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        told = [line for line in lines if "error" in line.lower()] or lines or ["no output"]
        raise MachineError(
            f"MLflow {release} cannot be installed: {told[-1].strip()}",
            hint="is there such a release, and does the package index answer?",
            # pip lists every release that there is.
            details="\n".join(f"  {line[:_LETTERS]}" for line in lines[-_LINES:]),
        )


def _settle(whole: Path, target: Path) -> None:
    """Let programs of the environment find its Python where it will be."""
    before, after = str(whole).encode(), str(target).encode()
    for program in (whole / "bin").iterdir():
        if program.is_file() and not program.is_symlink():
            content = program.read_bytes()
            if before in content:
                program.write_bytes(content.replace(before, after))
    whole.chmod(0o755)
