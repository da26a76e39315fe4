"""What each kind of store knows about itself. Nothing outside asks which kind it is."""

from stackctl.stores.base import ArtifactStore, BackendStore
from stackctl.stores.files import Files
from stackctl.stores.folder import Folder
from stackctl.stores.mysql import MySQL
from stackctl.stores.postgres import PostgreSQL
from stackctl.stores.s3 import S3
from stackctl.stores.sqlite import SQLite

BACKENDS: dict[str, BackendStore] = {
    store.kind: store for store in (Files(), SQLite(), PostgreSQL(), MySQL())
}
ARTIFACTS: dict[str, ArtifactStore] = {store.kind: store for store in (Folder(), S3())}

__all__ = ["ARTIFACTS", "BACKENDS", "ArtifactStore", "BackendStore"]
