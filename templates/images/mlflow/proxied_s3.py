"""S3 behind the artifact proxy, with every byte through the proxy.

MLflow 3.15 to 3.17 tell a client of the proxy that it may fetch and send large files straight
from and to the bucket, at the endpoint that the *server* uses. Inside a stack that endpoint has
a name which a client outside cannot resolve; it would retry for minutes. This repository, which
takes the place of `s3` by MLflow's plug-in interface, does everything that MLflow's own does but
advertises no such short cut.

And it says of an object that does not exist that it does not, so that the proxy answers 404. MLflow
answers 500 (3.17.2), which its clients take for a passing failure and try again for four minutes:
each time that one asks for `runs:/RUN/model`, since a model's files are not among its run's.

And it takes no artifact under a name that SeaweedFS would lose (4.48): it makes a folder of what
stands before a backslash, and lists nothing that is in a folder `.uploads`. The proxy answers 400.
"""

import posixpath
import re

from botocore.exceptions import ClientError
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

_LOST = re.compile(r"\\|(^|/)\.uploads(/|$)")


class ProxiedS3ArtifactRepository(ArtifactRepository):
    """MLflow's S3 repository without its multipart and presigned interfaces."""

    def __init__(self, artifact_uri, *args, **kwargs):
        super().__init__(artifact_uri, *args, **kwargs)
        self._s3 = S3ArtifactRepository(artifact_uri, *args, **kwargs)

    def log_artifact(self, local_file, artifact_path=None):
        name = posixpath.join(artifact_path or "", posixpath.basename(local_file))
        if _LOST.search(name):
            raise MlflowException(
                f"artifact {name!r} was not stored: a name here has neither a backslash nor a "
                "folder .uploads; choose another name, with / between folders",
                INVALID_PARAMETER_VALUE,
            )
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
