"""What of a database is copied together: names of tables, which ask no database."""

from enum import StrEnum

# A lock or a lease that is copied would keep the new server from its work until it runs out.
_EPHEMERAL = frozenset({"job_locks", "scheduler_leases"})
# MLflow 3.17.2: `mlflow.server.auth.db.models`, and what its older versions left behind.
_LOGIN = frozenset(
    {
        "users", "roles", "role_permissions", "user_role_assignments", "experiment_permissions",
        "registered_model_permissions", "scorer_permissions", "workspace_permissions",
        "gateway_secret_permissions", "gateway_endpoint_permissions",
        "gateway_model_definition_permissions",
    }
)  # fmt: skip


class Part(StrEnum):
    """What of a database is copied.

    The login's tables are a part of their own. They have a revision of their own; on SQLite they
    are a database of their own, on a server they share the tracking store's; and a stack's
    administrator has a password that only this stack knows. So whoever moves runs leaves the
    accounts of both sides as they are, and moves those by a second call, where that is wanted.
    """

    TRACKING = "tracking"
    LOGIN = "login"


def belongs(name: str, part: Part) -> bool:
    """A table is copied with this part."""
    if name.startswith("alembic_version") or name in _EPHEMERAL:
        return False
    return (name in _LOGIN) is (part is Part.LOGIN)
