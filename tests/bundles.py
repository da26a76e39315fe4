"""Bundles for a place that never changes, and what a test may take from their text."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from stackctl import scenario, settings
from stackctl.render import Bundle, Place, render
from stackctl.settings import Effective
from stackctl.stack import write_files

NAMES = scenario.names()

# Settings that each change the files of some scenario. Held complete by test_settings.
VARIANTS: tuple[tuple[str, ...], ...] = (
    ("name=other",),
    ("port=15999",),
    ("artifacts_port=15998",),
    ("object_store_port=15997",),
    ("browser_port=15996",),
    ("bind=::1",),
    ("bind=0.0.0.0", "auth=basic", "public_hosts=srv.lan"),
    ("auth=basic",),
    ("public_hosts=mlflow.example.org,srv.lan:8443",),
    ("data=/srv/ml flow #1",),
    ("object_store=minio",),
    ("object_store=rustfs",),
    ("object_store=rustfs", "object_store_port=15997"),
    ("object_store=external",),
    ("object_store=external", "object_store_endpoint=https://s3.example.org:9000"),
    ("bucket=runs.of-ada",),
    ("region=eu-central-1",),
    ("workers=7",),
    ("job_execution=true",),
    ("image_flavor=user",),
    ("image_flavor=conda",),
    ("images.tracking=registry.example.org:5000/mlflow@sha256:" + "0" * 64,),
    ("images.postgres=postgres:18", "images.mysql=mysql:9", "images.base=python:3.13"),
    ("memory.tracking=3g", "memory.postgres=2g"),
)


def place(home: str = "/home/ada/my stacks", stack: str = "x", data: str = "") -> Place:
    """Where ada's bundle lives."""
    return Place(
        home=home,
        data=data or f"{home}/data/{stack}",
        secrets=f"{home}/.secrets/{stack}",
        owner="owner-of-ada",
        uid=1000,
        gid=1000,
        user="ada",
    )


def effective(name: str, *flags: str) -> Effective:
    """The settings of a scenario with `--set` flags, and nothing from the environment."""
    return settings.resolve(scenario.load(name), flags=flags, environment={})


@cache
def bundle(name: str, *flags: str, home: str = "/home/ada/my stacks") -> Bundle:
    """What a scenario with `--set` flags renders to, for ada."""
    chosen = effective(name, *flags)
    where = place(home, chosen.settings.name, chosen.settings.data)
    return render(scenario.load(name), chosen, where)


@cache
def variants(name: str) -> list[tuple[tuple[str, ...], Bundle]]:
    """A scenario as it is, then with each of the settings that change its files."""
    plain = bundle(name)
    changed = [(flags, bundle(name, *flags)) for flags in VARIANTS]
    return [((), plain), *((f, b) for f, b in changed if texts(b) != texts(plain))]


def texts(of: Bundle) -> dict[str, str]:
    """The files without `.env`, which every setting changes."""
    return {name: text for name, (text, _) in of.files.items() if name != ".env"}


def written(of: Bundle, folder: Path) -> Path:
    """The bundle on the disk."""
    write_files(folder, of.files)
    return folder


def readable(of: Bundle) -> str:
    """All files in one text, without the lock files and the digests that follow from them."""
    parts = [
        f"# ==== {name} ({mode:04o})\n{text}"
        for name, (text, mode) in of.files.items()
        if not name.endswith(".lock")
    ]
    text = re.sub(r"stackctl-mlflow:[0-9.]+-[0-9a-f]{12}", "stackctl-mlflow:TAG", "\n".join(parts))
    return re.sub(r'(io\.stackctl\.digest: )"[0-9a-f]{16}"', r'\1"DIGEST"', text)


def tool(name: str) -> str:
    """A program that the development requirements install beside Python."""
    path = Path(sys.executable).with_name(name)
    assert path.exists(), f"{path} is missing: install stackctl[dev]"
    return str(path)


def compose(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Call the real Compose on a bundle's folder; it needs no daemon for `config`."""
    return subprocess.run(
        [tool("docker-compose"), "--project-directory", str(folder),
         "--file", str(folder / "compose.yaml"), *words],
        capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/"},
    )  # fmt: skip


def check(command: Sequence[str]) -> None:
    """Run a linter; what it says is the failure."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
