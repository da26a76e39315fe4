"""Artifacts in a folder that clients write themselves."""

from stackctl.stores.base import ArtifactStore


class Folder(ArtifactStore):
    """A folder on the machine, at the same path for clients and server."""

    kind = "folder"
    label = "local folder (mlruns/)"
    local = True
