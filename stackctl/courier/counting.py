"""What is counted in a database of MLflow: queries that every kind of database takes."""

from collections.abc import Callable, Mapping
from typing import Any

# The experiment of stackctl's own checks is nobody's data.
OWN = "stackctl readiness "
# What `:own` stands for in the queries.
OWN_PATTERN = f"{OWN}%"
COUNTED = {
    "experiments": "SELECT count(*) FROM experiments WHERE name NOT LIKE :own",
    "runs": "SELECT count(*) FROM runs WHERE experiment_id NOT IN "
    "(SELECT experiment_id FROM experiments WHERE name LIKE :own)",
    "metrics": "SELECT count(*) FROM metrics WHERE run_uuid NOT IN (SELECT run_uuid FROM runs "
    "JOIN experiments USING (experiment_id) WHERE experiments.name LIKE :own)",
    "registered_models": "SELECT count(*) FROM registered_models",
    "model_versions": "SELECT count(*) FROM model_versions",
    "logged_models": "SELECT count(*) FROM logged_models",
    "traces": "SELECT count(*) FROM trace_info",
    "evaluation_datasets": "SELECT count(*) FROM evaluation_datasets",
    "gateway_endpoints": "SELECT count(*) FROM endpoints",
    "gateway_keys": "SELECT count(*) FROM secrets",
    "mcp_servers": "SELECT count(*) FROM mcp_servers",
    "skills": "SELECT count(*) FROM skills",
    "uploaded_skill_versions": "SELECT count(*) FROM skill_versions WHERE source_type = 'mlflow'",
    "workspaces": "SELECT count(*) FROM workspaces WHERE name <> 'default'",
    "webhooks": "SELECT count(*) FROM webhooks WHERE deleted_timestamp IS NULL",
}
# Where the table is called otherwise.
_TABLES = {
    "traces": "trace_info", "gateway_endpoints": "endpoints", "gateway_keys": "secrets",
    "uploaded_skill_versions": "skill_versions",
}  # fmt: skip

# Of each table that is counted: the columns that are asked for.
COLUMNS: dict[str, tuple[str, ...]] = {
    **{_TABLES.get(kind, kind): () for kind in COUNTED},
    "experiments": ("experiment_id", "name"),
    "runs": ("run_uuid", "experiment_id"),
    "metrics": ("run_uuid",),
    "secrets": ("wrapped_dek",),
    "skill_versions": ("source_type",),
    "workspaces": ("name",),
    "webhooks": ("secret", "deleted_timestamp"),
}

# Of each kind of what MLflow encrypts: its table, and the rows that are encrypted.
ENCRYPTED = {
    "webhook": ("webhooks", "secret IS NOT NULL AND deleted_timestamp IS NULL"),
    "gateway": ("secrets", "wrapped_dek IS NOT NULL"),
}


def counted(
    tables: set[str], number: Callable[[str, Mapping[str, str]], Any]
) -> tuple[dict[str, int], dict[str, int]]:
    """How many there are of each kind, and of each kind that is encrypted.

    Args:
        tables: Those of the schema: an older one has fewer, and what they hold is not counted.
        number: Runs a query with its parameters; gives its one number.
    """
    there = {
        kind: int(number(query, {"own": OWN_PATTERN}) or 0)
        for kind, query in COUNTED.items()
        if _TABLES.get(kind, kind) in tables
    }
    closed = {
        kind: int(number(f"SELECT count(*) FROM {table} WHERE {condition}", {}) or 0)  # noqa: S608
        for kind, (table, condition) in ENCRYPTED.items()
        if table in tables
    }
    return there, closed
