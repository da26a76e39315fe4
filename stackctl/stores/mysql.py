"""MySQL as a service of the stack."""

from stackctl.stores.base import BackendStore


class MySQL(BackendStore):
    """Runs as rows in MySQL."""

    kind = "mysql"
    label = "MySQL"
