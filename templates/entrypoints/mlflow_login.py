"""MLflow's own login, which asks its database less: `quicken(mlflow.server.auth)`.

For each call of a user who is no administrator MLflow 3.17.2 loads the whole run to learn of which
experiment it is, and who the user is twice, and what they may do: more than the call itself costs.
Here each worker remembers for a few seconds what it found out, and that a run is of an experiment,
which never changes. What is remembered lets through, and never refuses: before anybody is refused
what they may do is asked anew. So a permission that was given counts at once, as MLflow has it, and
one that was taken away is void after `SECONDS`, as is who was an administrator, or was none.
"""

import threading
from contextvars import ContextVar

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from cachetools import TTLCache
from sqlalchemy import Table, event

SECONDS = 5
_VERSION = "alembic_version_auth"
_ENTRIES = 10_000
# In what is decided now, what is remembered may be used.
_REMEMBERING = ContextVar("remembering", default=False)


def remembering(find, key_of, seconds=SECONDS, *, always=False):
    """`find`, which remembers for all threads of a worker what it finds, but for None.

    What it remembers it gives where something is decided by that, or always.
    """
    kept, lock = TTLCache(_ENTRIES, seconds), threading.Lock()

    def found(*args, **named):
        key = key_of(*args, **named)
        with lock:
            known = kept.get(key) if always or _REMEMBERING.get() else None
        if known is None and (known := find(*args, **named)) is not None:
            with lock:
                kept[key] = known
        return known

    return found


def quicken(auth):
    """Have MLflow's module `auth` remember, where it is as it is known here; whether it is."""
    store = auth.store
    if not all(
        callable(getattr(thing, name, None))
        for thing, name in (
            (auth, "authorize"),
            (auth, "sender_is_admin"),
            (auth, "_find_validator"),
            (auth, "_run_requirement"),
            (auth, "filter_experiment_ids"),
            (store, "get_user"),
            (store, "list_grants"),
        )
    ):
        return False
    store.get_user = remembering(store.get_user, lambda username: username)
    store.list_grants = remembering(
        store.list_grants, lambda user, workspace, types: (user, workspace, frozenset(types))
    )
    auth._run_requirement = of_run(auth._run_requirement)
    find_validator, allowed = auth._find_validator, auth.filter_experiment_ids
    auth._find_validator = lambda request: (found := find_validator(request)) and asked_again(found)
    auth.authorize = asked_again(auth.authorize)
    auth.filter_experiment_ids = lambda ids: all_by_memory(allowed, ids) or allowed(ids)
    auth.sender_is_admin = remembered(auth.sender_is_admin)
    return True


def migrate_in_mysql(utils):
    """Have MLflow's module `utils` make the login's tables in MySQL too.

    MLflow 3.17.2 asks for their version in a transaction, and makes them by another connection
    meanwhile. That waits for the first, which has looked at a table that it is about to make, for
    ever. And it gives two constraints one name. (The couriers' `login.migrate` does the same.)
    """
    if not callable(migrate := getattr(utils, "migrate", None)):
        return

    def migrate_if_needed(engine, revision):
        with engine.connect() as connection:
            asked = MigrationContext.configure(connection, opts={"version_table": _VERSION})
            there = asked.get_current_revision()
        scripts = ScriptDirectory.from_config(utils._get_alembic_config(str(engine.url)))
        if there == scripts.get_current_head():
            return
        event.listen(Table, "before_create", _without_names)
        try:
            migrate(engine, revision)
        finally:
            event.remove(Table, "before_create", _without_names)

    utils.migrate_if_needed = migrate_if_needed


def _without_names(table, connection, **_):
    if connection.dialect.name == "mysql":
        for constraint in table.foreign_key_constraints:
            constraint.name = None


def remembered(decide):
    """Decide by what is remembered."""

    def decided(*args, **named):
        token = _REMEMBERING.set(True)
        try:
            return decide(*args, **named)
        finally:
            _REMEMBERING.reset(token)

    return decided


def asked_again(decide):
    """The same, and where that would refuse, by what is so."""
    by_memory = remembered(decide)

    def decided(*args, **named):
        return by_memory(*args, **named) or decide(*args, **named)

    return decided


def all_by_memory(allowed, ids):
    """The ids, where by what is remembered each may be read; else none."""
    found = remembered(allowed)(ids)
    return found if len(found) == len(ids) else []


def of_run(find):
    """What a call of a run asks for: its experiment never changes."""
    kept = remembering(find, lambda run_id, action: (run_id, action), 10 * SECONDS, always=True)

    def found(run_id, action):
        known = kept(run_id, action)
        # Others are added to its requirements.
        return known and (known[0], list(known[1]))

    return found
