"""A store that is nobody's stack: it comes as a stream, and is read from a copy."""

import tarfile
from typing import Any, BinaryIO

import sqlalchemy as sa

from stackctl.courier.database import migrate
from stackctl.courier.migration import migrated, scratch_folder
from stackctl.courier.numbering import number
from stackctl.courier.rows import write_rows


def rows_out(job: dict[str, Any], source: BinaryIO, out: BinaryIO) -> None:
    """Its rows, at this MLflow's schema.

    The input is a tar stream of a file store, or of the one file `database` that the job names.
    """
    with scratch_folder(job["scratch"]) as scratch:
        with tarfile.open(fileobj=source, mode="r|") as tar:
            tar.extractall(scratch / "store", filter="data")
        if name := job.get("database"):
            uri = f"sqlite:///{scratch}/store/{name}"
            made = sa.create_engine(uri, poolclass=sa.pool.NullPool)
            migrate(made, "heads")
            number(made)
        else:
            uri = migrated(scratch / "store", scratch)
        write_rows(uri, out, job["relocations"], cut_for=job.get("cut_for", ""))
