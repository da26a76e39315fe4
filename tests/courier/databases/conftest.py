"""One server of each kind for the session, each with an empty store of MLflow's own schema."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from tests.courier.databases import servers
from tests.courier.random_store import fill
from tests.embedded import debian

PROGRAM = Path(__file__).with_name("mlflow_store.py")


@dataclass(frozen=True)
class Stores:
    """Stores of each kind.

    Attributes:
        folder: Where databases of SQLite are.
        servers: By name, the addresses of those that are on a server.
    """

    folder: Path
    servers: dict[str, str]

    def sqlite(self, name: str) -> str:
        """A fresh store on SQLite."""
        path = self.folder / f"{name}.db"
        shutil.copy(self.folder / "empty.db", path)
        return f"sqlite:///{path}"

    def random(self, seed: int) -> str:
        """A store on SQLite with something in every table."""
        uri = self.sqlite(f"random-{seed}")
        fill(uri, seed)
        return uri

    def ask(self, **order: Any) -> list[dict[str, Any]]:
        """Run MLflow in a process of its own."""
        done = subprocess.run(
            [sys.executable, str(PROGRAM)], input=json.dumps(order), capture_output=True, text=True,
            check=False, cwd=self.folder, env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return list(json.loads(done.stdout))

    def query(self, name: str, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement on a server."""
        engine = sqlalchemy.create_engine(self.servers[name])
        with engine.begin() as connection:
            result = connection.execute(sqlalchemy.text(statement))
            rows = [tuple(row) for row in result] if result.returns_rows else []
        engine.dispose()
        return rows


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """PostgreSQL, MySQL and MariaDB, and on SQLite `client.db`, which a client filled, and
    `login.db`, which has the tables of the login too.
    """
    folder = tmp_path_factory.mktemp("stores")
    with ExitStack() as stack:
        try:
            found = {
                "mysql": stack.enter_context(servers.mysql(debian.mysql())).address,
                "mariadb": stack.enter_context(servers.mysql(debian.mariadb())).address,
            }
        except debian.ProgramsUnavailable as reason:
            pytest.skip(f"no MySQL: {reason}")
        found["postgres"] = stack.enter_context(servers.postgres()).address
        stores = Stores(folder, found)
        empty, *more = (str(folder / f"{name}.db") for name in ("empty", "client", "login"))
        client, login = (f"sqlite:///{path}" for path in more)
        stores.ask(
            schema=[f"sqlite:///{empty}", *found.values()],
            copies=[(empty, path) for path in more], content=client, login=login,
        )  # fmt: skip
        yield stores
