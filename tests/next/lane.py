"""The Python and the checkout in which the next release of MLflow is what ships."""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from filelock import FileLock

from stackctl.versions import MLFLOW
from tests.engine.cache import cache_folder
from tests.next import NEXT

ROOT = Path(__file__).parents[2]
# Every file that names the release that ships, but for the lock file, which `make lock` makes.
PINS = ("templates/images.toml", "pyproject.toml", "templates/images/mlflow/requirements.in")
# Pages that a test compares with it: how they say it.
_PAGES = {"docs/settings.md": "| `mlflow_version` | `{}`", "docs/images.md": "MLflow {} "}
_PARTS = ("mlflow-skinny", "mlflow-tracing")
# What it asks for beyond the one before: uploads to its skill registry, in forms.
_MORE = ("python-multipart",)


def raised(text: str, to: str = NEXT) -> str:
    """A file of `PINS` that names another release."""
    for word in ("mlflow==", "mlflow[auth]==", 'mlflow = "'):
        text = text.replace(f"{word}{MLFLOW}", f"{word}{to}")
    return text


@contextmanager
def checkout() -> Iterator[Path]:
    """A copy of this checkout that is raised to the next release."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, text=True, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory(prefix="stackctl-next-") as folder:
        for name in filter(lambda name: (ROOT / name).is_file(), names.splitlines()):
            target = Path(folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
        for name in PINS:
            path = Path(folder, name)
            path.write_text(raised(path.read_text("utf-8")), "utf-8")
        for name, words in _PAGES.items():
            path = Path(folder, name)
            said = path.read_text("utf-8").replace(words.format(MLFLOW), words.format(NEXT))
            path.write_text(said, "utf-8")
        yield Path(folder)


def python() -> Path:
    """A Python with the next release over everything that this one has; named by what is in it."""
    own = sorted(f"{found.name}=={found.version}" for found in metadata.distributions())
    content = "\n".join([NEXT, sys.version, sys.prefix, Path(__file__).read_text("utf-8"), *own])
    target = cache_folder() / f"next-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    with FileLock(f"{target}.lock"):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".next-") as fresh:
                _make(Path(fresh, "environment"), target)
    return target / "bin" / "python"


def _make(folder: Path, target: Path) -> None:
    _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    # Its programs name the Python of where it will be.
    folder.rename(target)
    try:
        packages = next(target.glob("lib/python*/site-packages"))
        into = ("--python", str(target / "bin" / "python"), "install", "--quiet")
        _run(sys.executable, "-m", "pip", *into, "--disable-pip-version-check", "--no-deps",
             f"mlflow=={NEXT}", *_MORE)  # fmt: skip
        for part in _PARTS:
            info = packages / f"{part.replace('-', '_')}-{NEXT}.dist-info"
            info.mkdir()
            text = f"Metadata-Version: 2.1\nName: {part}\nVersion: {NEXT}\n"
            (info / "METADATA").write_text(text)
        below = sysconfig.get_path("purelib")
        # Programs are looked for beside the Python that runs.
        for program in Path(sys.executable).parent.iterdir():
            if not (beside := target / "bin" / program.name).exists():
                beside.symlink_to(program)
        (packages / "below.pth").write_text(f"import site; site.addsitedir({below!r})\n")
    except BaseException:
        shutil.rmtree(target)
        raise


def environment(folder: Path) -> dict[str, str]:
    """What programs of the copy are given: it comes before what is installed."""
    path = f"{python().parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PYTHONPATH": str(folder), "PATH": path}


def _run(*words: str) -> None:
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
