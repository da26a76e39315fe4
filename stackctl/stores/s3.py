"""A bucket in an S3 object store: the stack's own, or an external one."""

from stackctl.stores.base import ArtifactStore


class S3(ArtifactStore):
    """Artifacts as objects below `s3://BUCKET/artifacts`."""

    kind = "s3"
    label = "S3 bucket"
