"""S3 behind the artifact proxy: with every byte through the proxy, or with short cuts that work.

MLflow 3.15 to 3.17 tell a client of the proxy that it may fetch and send large files straight
from and to the bucket, at the endpoint that the *server* uses. Inside a stack that endpoint has
a name which a client outside cannot resolve; it would retry for minutes. This repository, which
takes the place of `s3` by MLflow's plug-in interface, does everything that MLflow's own does but
advertises no such short cut. Where STACKCTL_DIRECT_ENDPOINT says at which address clients find the
bucket, it advertises them, and what it signs leads there; an empty one is that of the server.

And it says of an object that does not exist that it does not, so that the proxy answers 404. MLflow
answers 500 (3.17.2), which its clients take for a passing failure and try again for four minutes:
each time that one asks for `runs:/RUN/model`, since a model's files are not among its run's.

And it takes no artifact under a name that SeaweedFS would lose (4.48): it makes a folder of what
stands before a backslash, and lists nothing that is in a folder `.uploads`. The proxy answers 400.
"""

import os
import posixpath
import re
from urllib.parse import unquote

from botocore.exceptions import ClientError
from mlflow.exceptions import MlflowException, _UnsupportedMultipartUploadException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST
from mlflow.store.artifact import artifact_repo, s3_artifact_repo
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

_LOST = re.compile(r"\\|(^|/)\.uploads(/|$)")


def refuse_lost(local_file, artifact_path):
    name = posixpath.join(artifact_path or "", posixpath.basename(local_file))
    if _LOST.search(name):
        raise MlflowException(
            f"artifact {name!r} was not stored: a name here has neither a backslash nor a "
            "folder .uploads; choose another name, with / between folders",
            INVALID_PARAMETER_VALUE,
        )


class ProxiedS3ArtifactRepository(ArtifactRepository):
    """MLflow's S3 repository without its multipart and presigned interfaces."""

    def __init__(self, artifact_uri, *args, **kwargs):
        super().__init__(artifact_uri, *args, **kwargs)
        self._s3 = S3ArtifactRepository(artifact_uri, *args, **kwargs)

    def log_artifact(self, local_file, artifact_path=None):
        refuse_lost(local_file, artifact_path)
        self._s3.log_artifact(local_file, artifact_path)

    def log_artifacts(self, local_dir, artifact_path=None):
        self._s3.log_artifacts(local_dir, artifact_path)

    def list_artifacts(self, path=None):
        return self._s3.list_artifacts(path)

    def _download_file(self, remote_file_path, local_path):
        try:
            self._s3._download_file(remote_file_path, local_path)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in ("404", "NoSuchKey"):
                raise
            raise MlflowException(
                f"there is no artifact {remote_file_path}", RESOURCE_DOES_NOT_EXIST
            ) from error

    def delete_artifacts(self, artifact_path=None):
        self._s3.delete_artifacts(artifact_path)


class Clients:
    """A client of S3 that signs addresses as another one does."""

    def __init__(self, inner, outer):
        self._inner, self._outer = inner, outer

    def __getattr__(self, name):
        return getattr(self._outer if name == "generate_presigned_url" else self._inner, name)


class OutwardS3(S3ArtifactRepository):
    """MLflow's own, with addresses for clients in all that it signs."""

    def _get_s3_client(self):
        inner, endpoint = super()._get_s3_client(), os.environ["STACKCTL_DIRECT_ENDPOINT"]
        if not endpoint:
            return inner
        return Clients(inner, s3_artifact_repo._get_s3_client(s3_endpoint_url=endpoint))


def direct():
    """The repository with short cuts, of a release that has them."""

    class DirectS3ArtifactRepository(
        ProxiedS3ArtifactRepository,
        artifact_repo.MultipartUploadMixin,
        artifact_repo.MultipartDownloadMixin,
    ):
        """The same, with MLflow's multipart and presigned interfaces."""

        def __init__(self, artifact_uri, *args, **kwargs):
            super().__init__(artifact_uri, *args, **kwargs)
            self._outward = OutwardS3(artifact_uri, *args, **kwargs)

        def create_multipart_upload(self, local_file, num_parts=1, artifact_path=None):
            refuse_lost(local_file, artifact_path)
            if unquote(local_file) != local_file or set("#?") & set(local_file):
                # Clients put such a name into an address as it is: through the server it loses what
                # follows, and is found; past it, it would be whole, and never be found again.
                raise _UnsupportedMultipartUploadException
            return self._outward.create_multipart_upload(local_file, num_parts, artifact_path)

        def complete_multipart_upload(self, local_file, upload_id, parts=None, artifact_path=None):
            self._outward.complete_multipart_upload(local_file, upload_id, parts, artifact_path)

        def abort_multipart_upload(self, local_file, upload_id, artifact_path=None):
            self._outward.abort_multipart_upload(local_file, upload_id, artifact_path)

        def get_download_presigned_url(self, artifact_path, expiration=300):
            return self._outward.get_download_presigned_url(artifact_path, expiration)

    return DirectS3ArtifactRepository


S3 = direct() if "STACKCTL_DIRECT_ENDPOINT" in os.environ else ProxiedS3ArtifactRepository
