"""What is counted in a database of MLflow: queries that every kind of database takes."""

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
}

# Of each kind of what MLflow encrypts: its table, and the rows that are encrypted.
ENCRYPTED = {
    "webhook": ("webhooks", "secret IS NOT NULL AND deleted_timestamp IS NULL"),
    "gateway": ("secrets", "wrapped_dek IS NOT NULL"),
}


def queries(tables: set[str]) -> dict[str, str]:
    """Those for which the schema has a table: an older one has fewer."""
    named = {"traces": "trace_info"}
    return {kind: query for kind, query in COUNTED.items() if named.get(kind, kind) in tables}


def encrypted(tables: set[str]) -> dict[str, str]:
    """Queries for the number of what is encrypted, by its kind."""
    return {
        kind: f"SELECT count(*) FROM {table} WHERE {condition}"  # noqa: S608
        for kind, (table, condition) in ENCRYPTED.items()
        if table in tables
    }
