"""What a database of MLflow holds, and its schema."""

import os
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

import sqlalchemy as sa

from stackctl.courier import claims, login, schemas, strangers
from stackctl.courier.copytext import escape, unescape
from stackctl.courier.counting import counted
from stackctl.courier.errors import CourierError, first_line
from stackctl.courier.numbering import number
from stackctl.courier.parts import Part, belongs
from stackctl.courier.relocation import LOCATED, LOCATED_TAGS, Relocations, relocator
from stackctl.courier.verbs import Verb

_BYTES: dict[str, str] = {
    "postgresql": "SELECT pg_database_size(current_database())",
    "mysql": "SELECT coalesce(sum(data_length + index_length), 0) FROM information_schema.tables "
    "WHERE table_schema = database()",
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
}


def uri() -> str:
    """Of the stack's database, as its own scripts say it."""
    return os.environ["MLFLOW_BACKEND_STORE_URI"]


def engine() -> sa.Engine:
    """A connection without a pool."""
    return sa.create_engine(uri(), poolclass=sa.pool.NullPool)


def counts(_job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, Any]:
    """What there is: `{"counts": {"runs": 3, …}, "revision": "…", "bytes": 4096, "encrypted": …}`.

    What the schema's version has no table for is not counted.
    """
    made = engine()
    with made.connect() as connection:
        tables = set(sa.inspect(connection).get_table_names())
        found, closed = counted(tables, lambda q, own: connection.scalar(sa.text(q), own))
        size = int(connection.scalar(sa.text(_BYTES[made.dialect.name])) or 0)
        revision = schemas.revision(connection, schemas.TRACKING)
    return {"counts": found, "revision": revision, "bytes": size, "encrypted": closed}


def make_schema(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, Any]:
    """Drop everything in the database, and make the schema of `revision` (the newest where "").

    What says whose it is stays.
    """
    made = engine()
    with made.connect() as connection:
        claim = claims.read(connection)
    drop_all(made)
    migrate(made, job.get("revision") or "heads")
    with made.begin() as connection:
        if claim:
            claims.write(connection, claim)
        return {"revision": schemas.revision(connection, schemas.TRACKING)}


def definitions(_job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, Any]:
    """The statement that makes each table of the tracking store, as MySQL says it."""
    made = engine()
    quote = made.dialect.identifier_preparer.quote
    with made.connect() as connection:
        out = strangers.names(connection)
        names = [n for n in sa.inspect(connection).get_table_names()
                 if belongs(n, Part.TRACKING) and n not in out]  # fmt: skip
        asked = {n: f"SHOW CREATE TABLE {quote(n)}".replace("%", "%%") for n in names}
        return {
            "tables": {n: str(connection.exec_driver_sql(s).one()[1]) for n, s in asked.items()}
        }


def define(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, Any]:
    """Make those of `tables` that are not there, which MLflow did not make."""
    with engine().begin() as connection:
        there = set(sa.inspect(connection).get_table_names())
        missing = [name for name in job["tables"] if name not in there]
        # One may refer to another that comes later.
        connection.exec_driver_sql("SET FOREIGN_KEY_CHECKS = 0")
        for name in missing:
            try:
                connection.exec_driver_sql(job["tables"][name].replace("%", "%%"))
            except sa.exc.DBAPIError as error:
                raise CourierError(
                    f"table {name}, which MLflow did not make, cannot be made here: "
                    f"{first_line(error.orig or error)}"
                ) from None
        connection.exec_driver_sql("SET FOREIGN_KEY_CHECKS = 1")
    return {"made": missing}


def login_revision(_job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, str]:
    """The version of the login's tables, which share the database; "" where there are none."""
    with engine().connect() as connection:
        return {"revision": schemas.revision(connection, schemas.LOGIN)}


def make_login(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, str]:
    """Make the login's tables as of `revision`."""
    login.migrate(engine(), job["revision"])
    return {"revision": job["revision"]}


def upgrade(_job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, Any]:
    """Take the schema to this MLflow's, that of the login too; nothing where it is there."""
    made = engine()
    with made.connect() as connection:
        before = schemas.revision(connection, schemas.TRACKING)
    try:
        migrate(made, "heads")
        _migrate_login()
    except sa.exc.DBAPIError as error:
        # All of it would show the statement, and the values of a row.
        raise CourierError(f"the migration failed: {first_line(error.orig or error)}") from None
    with made.connect() as connection:
        return {"before": before, "after": schemas.revision(connection, schemas.TRACKING)}


def _migrate_login() -> None:
    accounts = os.environ.get("STACKCTL_ACCOUNTS")
    made = sa.create_engine(accounts, poolclass=sa.pool.NullPool) if accounts else None
    if made is not None and not schemas.is_newest(made, schemas.LOGIN):
        login.migrate(made, "head")


def release(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, Any]:
    """Which MLflow this is, and whether it knows the schema `revision`; asks no database."""
    from importlib.metadata import version

    known = job.get("revision") in schemas.known(schemas.TRACKING)
    return {"mlflow": version("mlflow"), "known": known}


def settle(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, Any]:
    """After a restore: relocate artifacts, take the schema to this MLflow's, set the login.

    `relocations` are pairs of an old and a new beginning of artifact locations.
    """
    made = engine()
    moved = relocate_in(made, job["relocations"]) if job["relocations"] else 0
    migrate(made, "heads")
    set_admin_password()
    with made.connect() as connection:
        return {"moved": moved, "revision": schemas.revision(connection, schemas.TRACKING)}


def relocate_in(made: sa.Engine, relocations: Relocations) -> int:
    """Rewrite the locations of artifacts in one transaction; returns how many rows changed."""
    relocate_one, count = relocator(relocations), 0
    located = {**LOCATED, **dict.fromkeys(LOCATED_TAGS, ("value",))}
    with made.begin() as connection:
        for there in sorted(set(sa.inspect(connection).get_table_names()) & set(located)):
            table = sa.Table(there, sa.MetaData(), autoload_with=connection, resolve_fks=False)
            key = list(table.primary_key.columns)
            for name in set(located[table.name]) & set(table.columns.keys()):
                column = table.columns[name]
                changed = [
                    (row[:-1], new)
                    for row in connection.execute(
                        sa.select(*key, column).where(column.is_not(None))
                    )
                    if (new := unescape(relocate_one(escape(row[-1])))) != row[-1]
                    and (table.name not in LOCATED_TAGS or row.key in LOCATED_TAGS[table.name])
                ]
                for values, new in changed:
                    where = [part == value for part, value in zip(key, values, strict=True)]
                    connection.execute(sa.update(table).where(*where).values({name: new}))
                count += len(changed)
    return count


def set_admin_password() -> None:
    """Where there is a login, its administrator has the password that this stack knows."""
    accounts, password = os.environ.get("STACKCTL_ACCOUNTS"), os.environ.get("STACKCTL_ADMIN")
    if not accounts or not password:
        return
    login.give(accounts, password)


def migrate(made: sa.Engine, target: str) -> None:
    """Run MLflow's migrations, as its own `db upgrade` does (mlflow/store/db/utils.py, 3.17.2)."""
    with made.connect() as connection:
        there = schemas.revision(connection, schemas.TRACKING)
    wanted = schemas.newest(schemas.TRACKING) if target == "heads" else {target}
    if not wanted <= schemas.known(schemas.TRACKING):
        raise CourierError(
            f"this MLflow does not know the schema {target}: a newer MLflow made the data"
        )
    if {there} != wanted:
        _migrate(made, there, target)


def _migrate(made: sa.Engine, there: str, target: str) -> None:
    from alembic import command
    from mlflow.store.db import utils
    from mlflow.store.tracking.dbmodels.initial_models import Base

    if not there:
        Base.metadata.create_all(made)
    # With which MLflow itself calls Alembic.
    config = utils._get_alembic_config("")  # type: ignore[no-untyped-call]
    with made.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, target)


def left_alone(_job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, list[str]]:
    """Names of tables that MLflow did not make, and nobody here touches."""
    with engine().connect() as connection:
        return {"tables": sorted(strangers.names(connection))}


def order(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, list[str]]:
    """Names of the tables of a part, those that others refer to first."""
    from stackctl.courier.tables import reflect

    return {"tables": [table.name for table in reflect(engine(), _part(job))]}


def drop_all(made: sa.Engine) -> None:
    """Take away every table of the database but those that are left alone."""
    name = made.dialect.name
    quote = made.dialect.identifier_preparer.quote
    with made.begin() as connection:
        if name == "postgresql" and not strangers.may_be_there():
            connection.execute(sa.text("DROP SCHEMA public CASCADE"))
            connection.execute(sa.text("CREATE SCHEMA public"))
            return
        others = strangers.names(connection)
        tables = sorted(set(sa.inspect(connection).get_table_names()) - others)
        if name == "postgresql":
            for table in tables:
                connection.execute(sa.text(f"DROP TABLE {quote(table)} CASCADE"))
            return
        off, on = {
            "mysql": ("SET FOREIGN_KEY_CHECKS = 0", "SET FOREIGN_KEY_CHECKS = 1"),
            "sqlite": ("PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys = ON"),
        }[name]
        connection.execute(sa.text(off))
        for table in tables:
            connection.execute(sa.text(f"DROP TABLE {quote(table)}"))
        connection.execute(sa.text(on))


def rows_out(job: dict[str, Any], _in: BinaryIO, out: BinaryIO) -> None:
    """Every row, as `stackctl.courier.rows` defines the stream; of `uri` where that is given.

    That is a copy in a file: its experiments are numbered as every database takes them.
    """
    from stackctl.courier import rows

    if copy := job.get("uri"):
        number(sa.create_engine(copy, poolclass=sa.pool.NullPool))
    moved, cut_for = job.get("relocations", []), job.get("cut_for", "")
    rows.write_rows(copy or uri(), out, moved, _part(job), cut_for)


def rows_in(job: dict[str, Any], source: BinaryIO, _out: BinaryIO) -> object:
    """Replace every row by those of a stream."""
    from stackctl.courier import rows

    return rows.read_rows(uri(), source, _part(job))


def misfits(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, Any]:
    """What `database` cannot hold: `{"misfits": [["params.value of …", "…", true]]}`."""
    from stackctl.courier import fitting
    from stackctl.courier.relocation import mover
    from stackctl.courier.tables import reflect

    made = engine()
    own = made.dialect.name.replace("postgresql", "postgres")
    tables = {table.name: table.shape for table in reflect(made, Part.TRACKING)}
    with made.connect().execution_options(stream_results=True) as connection:

        def query(statement: str) -> Iterable[Sequence[object]]:
            return connection.exec_driver_sql(statement)

        moved = mover(job["relocations"])
        found = fitting.in_tables(job["database"], own, tables, query, moved)
        return {"misfits": [[one.where, one.why, one.cut] for one in found]}


def _part(job: dict[str, Any]) -> Part:
    return Part(job.get("part", "tracking"))


def digest(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> object:
    """Rows and digest of each table."""
    from stackctl.courier import rows

    return rows.digest(uri(), job.get("relocations", []), _part(job))


VERBS: dict[str, Verb] = {
    "counts": counts,
    "make-schema": make_schema,
    "login-revision": login_revision,
    "make-login": make_login,
    "definitions": definitions,
    "left-alone": left_alone,
    "order": order,
    "define": define,
    "upgrade": upgrade,
    "release": release,
    "settle": settle,
    "rows-out": rows_out,
    "rows-in": rows_in,
    "digest": digest,
    "misfits": misfits,
}
