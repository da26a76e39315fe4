"""The entry points of postgres and mysql, official or stand-in: what our Compose files rely on."""

import pytest

from tests.engine.waiting import wait_until
from tests.images.conftest import Box, Start

# Everything that ever broke a connection string, a shell or a quoted SQL string.
AWKWARD = "pä ss@:/%#?&'\"$`\\!wörd"
DATABASE = "ml_flow-1"
POSTGRES = {"POSTGRES_USER": "mlflow", "POSTGRES_DB": DATABASE}
MYSQL = {"MYSQL_USER": "mlflow", "MYSQL_DATABASE": DATABASE}


def psql(box: Box, query: str, password: str) -> tuple[int, str]:
    # By its own address: the image trusts local connections.
    address = box.run("hostname", "-i")[1].split()[0]
    command = ("psql", "-h", address, "-U", "mlflow", "-d", DATABASE, "-Atc", query)
    return box.run(*command, PGPASSWORD=password)


def mysql(box: Box, query: str, password: str, user: str = "mlflow") -> tuple[int, str]:
    command = ("mysql", "--protocol=tcp", "-h", "127.0.0.1", "-u", user, "-NBe", query)
    return box.run(*command, MYSQL_PWD=password)


def await_postgres(box: Box) -> None:
    def answers() -> bool:
        assert box.is_running(), box.log()
        return box.run("pg_isready", "-h", "127.0.0.1", "-U", "mlflow")[0] == 0

    wait_until(answers, "postgres to listen on TCP", seconds=90)


def await_mysql(box: Box, password: str) -> None:
    def answers() -> bool:
        assert box.is_running(), box.log()
        ping = ("mysqladmin", "--protocol=tcp", "-h", "127.0.0.1", "-u", "mlflow", "ping")
        return box.run(*ping, MYSQL_PWD=password)[0] == 0

    wait_until(answers, "mysql to listen on TCP", seconds=120)


def test_postgres_accepts_the_password_of_the_file_and_no_other(start: Start) -> None:
    box = start(
        "postgres",
        environment={**POSTGRES, "POSTGRES_PASSWORD_FILE": "/run/secrets/password"},
        secrets={"password": AWKWARD + "\n"},
    )
    await_postgres(box)
    assert psql(box, "select current_database()", AWKWARD) == (0, DATABASE + "\n")
    code, said = psql(box, "select 1", AWKWARD + "x")
    assert code != 0
    assert "password authentication failed" in said
    assert AWKWARD not in box.log()


def test_postgres_runs_as_its_own_user_in_the_folder_of_the_volume(start: Start) -> None:
    box = start("postgres", environment={**POSTGRES, "POSTGRES_PASSWORD": AWKWARD})
    await_postgres(box)
    assert _uid_of_first_process(box) == 999
    folder = "/var/lib/postgresql/18/docker"
    assert psql(box, "show data_directory", AWKWARD) == (0, folder + "\n")
    mounts = {mount["Destination"] for mount in box.container.attrs["Mounts"]}
    assert mounts == {"/var/lib/postgresql"}


def test_postgres_keeps_its_data_and_initialises_once(start: Start) -> None:
    box = start("postgres", environment={**POSTGRES, "POSTGRES_PASSWORD": AWKWARD})
    await_postgres(box)
    assert psql(box, "create table kept as select 42 as x", AWKWARD)[0] == 0
    box.container.stop(timeout=30)
    box.container.reload()
    assert box.container.attrs["State"]["ExitCode"] == 0
    box.container.start()
    await_postgres(box)
    assert psql(box, "select x from kept", AWKWARD) == (0, "42\n")
    assert box.log().count("init process complete") == 1


def test_postgres_without_a_password_refuses_to_start(start: Start) -> None:
    box = start("postgres", environment=POSTGRES)
    assert box.await_end() != 0
    assert "superuser password is not specified" in box.log()


def test_postgres_refuses_a_value_given_twice(start: Start) -> None:
    box = start(
        "postgres",
        environment={"POSTGRES_PASSWORD": "one", "POSTGRES_PASSWORD_FILE": "/run/secrets/two"},
        secrets={"two": "two"},
    )
    assert box.await_end() != 0
    assert "both POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are set" in box.log()


def test_postgres_refuses_a_volume_at_the_place_of_older_versions(start: Start) -> None:
    box = start(
        "postgres",
        environment={**POSTGRES, "POSTGRES_PASSWORD": AWKWARD},
        tmpfs={"/var/lib/postgresql/data": ""},
    )
    assert box.await_end() != 0
    assert "/var/lib/postgresql/data" in box.log()


def test_postgres_runs_the_files_of_initdb_d_before_it_listens(start: Start) -> None:
    box = start(
        "postgres",
        environment={**POSTGRES, "POSTGRES_PASSWORD": AWKWARD},
        files={
            "/docker-entrypoint-initdb.d/1.sql": "create table made_by_init (listens text);",
            "/docker-entrypoint-initdb.d/2.sh": "#!/bin/sh\nset -e\n"
            'x=$(psql -U mlflow -d "$POSTGRES_DB" -Atc "show listen_addresses")\n'
            'psql -U mlflow -d "$POSTGRES_DB" -c "insert into made_by_init values (\'<$x>\')"\n',
        },
    )
    await_postgres(box)
    assert psql(box, "select listens from made_by_init", AWKWARD) == (0, "<>\n")


@pytest.mark.parametrize("tool", ["initdb", "pg_ctl", "pg_dump", "pg_restore", "psql"])
def test_postgres_carries_its_tools(start: Start, tool: str) -> None:
    box = start("postgres", [tool, "--version"])
    assert box.await_end() == 0
    assert "18." in box.log()


def test_mysql_accepts_the_passwords_of_the_files_and_no_other(start: Start) -> None:
    root = "root " + AWKWARD
    box = start(
        "mysql",
        environment={
            **MYSQL,
            "MYSQL_PASSWORD_FILE": "/run/secrets/password",
            "MYSQL_ROOT_PASSWORD_FILE": "/run/secrets/root",
        },
        secrets={"password": AWKWARD + "\n", "root": root},
    )
    await_mysql(box, AWKWARD)
    assert mysql(box, f"use `{DATABASE}`; select database()", AWKWARD) == (0, DATABASE + "\n")
    assert mysql(box, "select current_user()", root, user="root") == (0, "root@%\n")
    for user in ("mlflow", "root"):
        code, said = mysql(box, "select 1", AWKWARD + "x", user=user)
        assert code != 0
        assert "Access denied" in said
    assert AWKWARD not in box.log()


def test_mysql_gives_the_user_its_database_alone(start: Start) -> None:
    box = start(
        "mysql",
        environment={**MYSQL, "MYSQL_PASSWORD": AWKWARD, "MYSQL_RANDOM_ROOT_PASSWORD": "1"},
    )
    await_mysql(box, AWKWARD)
    assert mysql(box, f"create table `{DATABASE}`.t (x int)", AWKWARD)[0] == 0
    # `_` is a wildcard in a grant, and escaped it is not.
    assert mysql(box, "create database `mlXflow-1`", AWKWARD)[0] != 0


def test_mysql_runs_as_its_own_user_and_keeps_its_data(start: Start) -> None:
    box = start(
        "mysql",
        ["--log-bin-trust-function-creators=1"],
        environment={**MYSQL, "MYSQL_PASSWORD": AWKWARD, "MYSQL_ROOT_PASSWORD": AWKWARD},
    )
    await_mysql(box, AWKWARD)
    assert _uid_of_first_process(box) == 999
    created = f"create table `{DATABASE}`.kept as select @@log_bin_trust_function_creators x"
    assert mysql(box, created, AWKWARD)[0] == 0
    box.container.stop(timeout=60)
    box.container.start()
    await_mysql(box, AWKWARD)
    assert mysql(box, f"select x from `{DATABASE}`.kept", AWKWARD) == (0, "1\n")
    assert box.log().count("MySQL init process done") == 1


def test_mysql_does_not_listen_before_there_is_a_password(start: Start) -> None:
    box = start(
        "mysql",
        environment={"MYSQL_DATABASE": DATABASE, "MYSQL_ROOT_PASSWORD": AWKWARD},
        files={
            # State 0A is LISTEN; the heading keeps the log line apart from anything else.
            "/docker-entrypoint-initdb.d/1.sh": "#!/bin/sh\n"
            "echo \"listening: $(cat /proc/net/tcp /proc/net/tcp6 | grep -c ' 0A ')\"\n",
        },
    )
    box.await_line("listening:")
    assert "listening: 0" in box.log()


def test_mysql_without_a_password_refuses_to_start(start: Start) -> None:
    box = start("mysql", environment=MYSQL)
    assert box.await_end() != 0
    assert "password option is not specified" in box.log()


def _uid_of_first_process(box: Box) -> int:
    status = box.run("cat", "/proc/1/status")[1]
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:")))
