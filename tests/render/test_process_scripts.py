"""The scripts of processes, in a real bash: every value arrives, and no data is lost."""

import configparser
import os
import py_compile
import re
import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from pymysql.converters import escape_string

from stackctl import scenarios
from stackctl.render import Bundle, Component
from stackctl.runtimes.embedded import seaweedfs_security
from tests.bundles import (
    COMPONENTS,
    MARIADB,
    NAMES,
    PORTS,
    check,
    descriptions,
    process_variants,
    processes,
    tool,
    written,
)
from tests.hostile import HOSTILE, PASSWORDS
from tests.scripts import Call, Failed, calls, programs


def test_shellcheck_accepts_every_script(tmp_path: Path) -> None:
    seen: dict[str, Path] = {}
    for name in NAMES:
        for _, found in process_variants(name):
            for path, (text, _) in found.files.items():
                if path.endswith(".sh") and text not in seen:
                    seen[text] = tmp_path / f"{len(seen)}-{Path(path).name}"
                    seen[text].write_text(text, encoding="utf-8")
    named = {path.name.split("-", 1)[1] for path in seen.values()}
    assert {re.sub(r"-\d\.sh$", ".sh", name) for name in named} == {
        "tracking.sh", "ui.sh", "artifacts.sh", "local-postgres.sh", "local-mysql.sh",
        "seaweedfs.sh",
    }  # fmt: skip
    check([tool("shellcheck"), *map(str, seen.values())])


def test_rendered_python_compiles(tmp_path: Path) -> None:
    for number, home in enumerate(HOSTILE):
        folder = written(processes("scenario-5", home=home), tmp_path / str(number))
        for path in [*folder.rglob("*.py")]:
            py_compile.compile(str(path), doraise=True)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine whose programs tell what they were given."""
    programs(tmp_path, "python3", "weed", "initdb", "postgres", "mysqld", "mariadbd",
             "mariadb-install-db")  # fmt: skip
    return tmp_path


def on(machine: Path) -> dict[str, Component]:
    """Its components."""
    folder = machine / "bin"
    return {
        "postgres": replace(
            COMPONENTS["postgres"], programs={"bin": str(folder), "pg_isready": "/bin/true"}
        ),
        "seaweedfs": replace(COMPONENTS["seaweedfs"], programs={"weed": str(folder / "weed")}),
        "mysql": replace(COMPONENTS["mysql"], programs={"server": str(folder / "mysqld")}),
    }


def with_mariadb(machine: Path) -> dict[str, Component]:
    """Its components, with MariaDB in the place of MySQL."""
    folder = machine / "bin"
    found = {"server": str(folder / "mariadbd"), "install": str(folder / "mariadb-install-db")}
    return on(machine) | {"mysql": replace(MARIADB, programs=found)}


def start(of: Bundle, service: str, home: Path, machine: Path) -> list[Call]:
    """Run a service's script with its secrets, as its guard does."""
    entry = descriptions(of)[service]
    for path in map(Path, entry["secrets"].values()):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(PASSWORDS[path.name], encoding="utf-8")
    if volume := entry.get("volume"):
        Path(volume).mkdir(parents=True, exist_ok=True)
    in_memory = {key: str(machine / key) for key in entry.get("in_memory", [])}
    cwd = home / ".stackctl" / of.project.removeprefix("stackctl-") / "run" / service
    cwd.mkdir(parents=True, exist_ok=True)
    (script,) = [word for word in entry["command"] if word.startswith("./")]
    text = of.files[script.removeprefix("./")][0]
    return calls(machine, text, cwd=cwd, **entry["secrets"], **in_memory)


@pytest.mark.parametrize("below", HOSTILE)
def test_a_hostile_path_arrives_unchanged_in_scripts(below: str, machine: Path) -> None:
    home = Path(f"{machine}{below}")
    five = processes("scenario-5", "auth=basic", home=str(home), components=on(machine))
    tracking = start(five, "tracking", home, machine)[-1]
    ini = Path(tracking.variables["MLFLOW_AUTH_CONFIG_PATH"])
    assert ini == home / ".secrets" / "scenario-5" / "auth-tracking.ini"
    scratch = home / ".stackctl/scenario-5/run/tracking/stackctl-scratch"
    assert Path(tracking.variables["TMPDIR"]) == scratch
    assert scratch.is_dir()
    postgres = start(five, "postgres", home, machine)
    data = home / "data" / "scenario-5" / "postgres" / "18" / "docker"
    assert f"--pgdata={data}" in postgres[0].arguments
    assert postgres[-1].arguments[:2] == ["-D", str(data)]
    three = processes("scenario-3b", home=str(home), components=on(machine))
    (told,) = start(three, "tracking", home, machine)
    local_data = home / "data" / "scenario-3b"
    assert told.variables["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{local_data}/mlruns.db"
    for components in (on(machine), with_mariadb(machine)):
        mysql = processes("scenario-5-mysql", home=str(home), components=components)
        for call in start(mysql, "mysql", home, machine):
            assert f"--datadir={home}/data/scenario-5-mysql/mysql" in call.arguments


@pytest.mark.parametrize("below", ["/my stäcks", "/it's", "/a, b", "/~x"])
def test_seaweedfs_gets_one_folder_whatever_its_name_is(below: str, machine: Path) -> None:
    """It takes what it is given for a list with commas between."""
    home = Path(f"{machine}{below}")
    found = processes("scenario-5", home=str(home), components=on(machine))
    made, told = start(found, "objects", home, machine)
    assert made.arguments == ["-P", "-m", seaweedfs_security.__name__, "127.0.0.1"]
    (folder,) = [word for word in told.arguments if word.startswith("-dir=")]
    cwd = home / ".stackctl/scenario-5/run/objects"
    assert (cwd / folder.removeprefix("-dir=")).resolve() == home / "data/scenario-5/objects"
    assert "," not in folder


def test_seaweedfs_tells_no_access_key(machine: Path) -> None:
    """As version 4.48 writes them: its own, and one that it refuses."""
    lines = [
        "admin identity: name=admin-1, accessKey=$AWS_ACCESS_KEY_ID",
        "InvalidAccessKeyId: attempted key 'rotated-away' not found. Available keys: 1",
    ]
    (machine / "bin/weed").write_text(f'#!/bin/bash\nprintf "%s\\n" "{lines[0]}" "{lines[1]}" >&2')
    home = machine / "home"
    found = processes("scenario-5", home=str(home), components=on(machine))
    (script,) = [text for path, (text, _) in found.files.items() if path.endswith("seaweedfs.sh")]
    secrets = home / ".secrets/scenario-5"
    secrets.mkdir(parents=True)
    for name in ("s3_access_key", "s3_secret_key"):
        (secrets / name).write_text(PASSWORDS[name])
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, cwd=machine,
        env={"PATH": f"{machine}/bin:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.stderr.splitlines() == [
        "admin identity: name=admin-1, accessKey=…",
        "InvalidAccessKeyId: attempted key '…' not found. Available keys: 1",
    ]


@pytest.mark.parametrize("auth", ["none", "basic"])
@pytest.mark.parametrize("name", NAMES)
def test_every_server_starts_with_its_secrets_and_none_is_an_argument(
    name: str, auth: str, machine: Path
) -> None:
    home = machine / "my home"
    data = home / "data" / name
    data.mkdir(parents=True)
    found = processes(name, f"auth={auth}", home=str(home))
    chosen = scenarios.load(name)
    for server in [s for s in chosen.services if s in ("ui", "tracking", "artifacts")]:
        (told,) = start(found, server, home, machine)
        assert told.program == "python3"
        assert told.arguments[3] == "server"
        assert not any(value in word for value in PASSWORDS.values() for word in told.arguments)
        uri = told.variables.get("MLFLOW_BACKEND_STORE_URI", "")
        if chosen.backend in ("postgres", "mysql") and uri:
            encoding = {"postgres": "utf-8", "mysql": "latin-1"}[chosen.backend]
            parts = urlsplit(uri)
            assert parts.password is not None
            sent = unquote(parts.password).encode(encoding)
            assert sent == PASSWORDS[f"{chosen.backend}_password"].encode()
            assert (parts.hostname, parts.port) == ("127.0.0.1", PORTS[chosen.backend])
        assert bool(uri) is (server != "artifacts")
        if auth == "basic":
            ini = Path(told.variables["MLFLOW_AUTH_CONFIG_PATH"])
            assert stat.S_IMODE(ini.stat().st_mode) == 0o600
            users = configparser.ConfigParser()
            users.read(ini, encoding="utf-8")
            if chosen.backend not in ("postgres", "mysql"):
                assert users["mlflow"]["database_uri"] == f"sqlite:///{data}/users.db"
                assert stat.S_IMODE((data / "users.db").stat().st_mode) == 0o600


def test_what_an_interrupted_upload_left_is_gone_and_nothing_else(machine: Path) -> None:
    home = machine / "home"
    found = processes("scenario-5", home=str(home))
    run = home / ".stackctl/scenario-5/run/tracking"
    (run / "stackctl-scratch" / "half").mkdir(parents=True)
    (run / "precious").write_text("")
    start(found, "tracking", home, machine)
    assert sorted(path.name for path in run.iterdir()) == ["precious", "stackctl-scratch"]
    assert list((run / "stackctl-scratch").iterdir()) == []


# Databases.


def made(calls_of_a_start: list[Call]) -> bool:
    """A database was initialised before the server started."""
    return len(calls_of_a_start) > 1


@pytest.mark.parametrize("product", ["postgres", "mysql", "mariadb"])
def test_a_database_is_initialised_once_and_anew_after_an_interruption(
    product: str, machine: Path
) -> None:
    home = machine / "home"
    name, service = {"postgres": ("scenario-5", "postgres")}.get(
        product, ("scenario-5-mysql", "mysql")
    )
    components = with_mariadb(machine) if product == "mariadb" else on(machine)
    found = processes(name, home=str(home), components=components)
    volume = home / "data" / name / service
    volume.mkdir(parents=True)
    (volume / ".stackctl-owner").write_text("ada")
    assert made(start(found, service, home, machine))
    assert not (volume / ".initialising").exists()
    # What the programs that stand here for the real ones did not make.
    data = volume / "18" / "docker" if service == "postgres" else volume
    (data / "mysql").mkdir()
    (data / "PG_VERSION").write_text("18")
    (data / "table").write_text("precious")
    assert not made(start(found, service, home, machine))
    assert (data / "table").read_text() == "precious"
    (volume / ".initialising").write_text("")
    assert made(start(found, service, home, machine))
    assert not (data / "table").exists()
    assert (volume / ".stackctl-owner").read_text() == "ada"


@pytest.mark.parametrize("product", ["postgres", "mysql", "mariadb"])
def test_a_folder_with_files_of_no_database_is_left_as_it_is(product: str, machine: Path) -> None:
    """They may be a database that this user cannot read, or one that lost a file."""
    home = machine / "home"
    name, service = {"postgres": ("scenario-5", "postgres")}.get(
        product, ("scenario-5-mysql", "mysql")
    )
    components = with_mariadb(machine) if product == "mariadb" else on(machine)
    found = processes(name, home=str(home), components=components)
    precious = home / "data" / name / service / "18" / "docker" / "base"
    precious.mkdir(parents=True)
    with pytest.raises(Failed, match=r"holds files, and no database .*nothing was changed"):
        start(found, service, home, machine)
    assert sorted(path.name for path in (home / "data" / name / service).iterdir()) == ["18"]
    assert precious.exists()
    assert not (machine / "told").exists()


def unescaped(literal: bytes) -> bytes:
    """What MySQL and MariaDB take an SQL string for, in a session without NO_BACKSLASH_ESCAPES."""
    special = {b"0": b"\0", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"Z": b"\x1a"}
    assert re.fullmatch(rb"'(?:[^'\\]|\\.)*'", literal, re.DOTALL), "it ends somewhere else"
    return re.sub(
        rb"\\(.)", lambda found: special.get(found[1], found[1]), literal[1:-1], flags=re.DOTALL
    )


@pytest.mark.parametrize("language", ["C.UTF-8", "C"])
@pytest.mark.parametrize("product", ["mysql", "mariadb"])
@pytest.mark.parametrize(
    "password",
    [
        *PASSWORDS.values(), "größe-東京-😀", "'; DROP DATABASE mlflow; --", "\\", "\\'", "''", "'",
        "ends with \\", "-n", "%s%n$(id)`id`", "&&&", "* ? [a]", "\\n\\0", '"', "a;", "# x", "$'x'",
        " spaces ", "/* x */", "-- x", "delimiter x",
    ],
)  # fmt: skip
def test_mysql_is_given_the_password_that_the_file_holds(
    product: str, password: str, language: str, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PASSWORDS, "mysql_password", password)
    monkeypatch.setenv("LC_ALL", language)
    home = machine / "home"
    components = with_mariadb(machine) if product == "mariadb" else on(machine)
    found = processes("scenario-5-mysql", home=str(home), components=components)
    sql = b"".join(call.input for call in start(found, "mysql", home, machine))
    (line,) = [line for line in sql.splitlines() if line.startswith(b"CREATE USER")]
    found_line = re.fullmatch(rb"CREATE USER mlflow@'127.0.0.1' IDENTIFIED BY ('.*');", line)
    assert found_line is not None
    assert unescaped(found_line[1]) == password.encode()
    assert unescaped(f"'{escape_string(password)}'".encode()) == password.encode()
