"""PostgreSQL as a service of the stack."""

from stackctl.stores.base import BackendStore


class PostgreSQL(BackendStore):
    """Runs as rows in PostgreSQL."""

    kind = "postgres"
    label = "PostgreSQL"
