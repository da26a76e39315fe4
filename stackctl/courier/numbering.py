"""Numbers of experiments: those of a file store are larger than what PostgreSQL and MySQL take."""

from collections.abc import Mapping

import sqlalchemy as sa

# What the column of PostgreSQL and MySQL holds; a file store's numbers have 18 digits.
_LARGEST = 2**31 - 1
# In which an experiment tells its number in the file store.
_TAG = "stackctl.origin.experiment_id"


def origin(tags: Mapping[str, str]) -> str:
    """The number that an experiment had in the file store that it came from, by its tags.

    "" where it has its own: a number that a database could give to another one is nobody's origin,
    whoever wrote it into the tag.
    """
    number = tags.get(_TAG, "")
    return number if number.isdecimal() and int(number) > _LARGEST else ""


def number(made: sa.Engine) -> None:
    """Give experiments numbers that every database takes; each keeps the old one in a tag."""
    query = sa.text("SELECT experiment_id FROM experiments ORDER BY creation_time, experiment_id")
    with made.begin() as connection:
        known = [int(number) for (number,) in connection.execute(query)]
        first = max((number for number in known if number <= _LARGEST), default=0) + 1
        large = [number for number in known if number > _LARGEST]
        if not large:
            return
        tables = sa.MetaData()
        # A database that is opened without MLflow does not ask for what refers to what.
        tables.reflect(connection, resolve_fks=False)
        for new, old in enumerate(large, start=first):
            for table in tables.sorted_tables:
                if "experiment_id" in table.c:
                    column = table.c.experiment_id
                    connection.execute(
                        sa.update(table).where(column == old).values(experiment_id=new)
                    )
            tag = {"key": _TAG, "value": str(old), "experiment_id": new}
            connection.execute(sa.insert(tables.tables["experiment_tags"]).values(tag))
