"""What becomes of artifacts' names behind the proxy, with the real client."""

import os
import tempfile
from pathlib import Path

import mlflow
from requests import HTTPError

# The rows of docs/faq.md.
BECOMES = {
    "ünï (1) & more.txt": "ünï (1) & more.txt",
    "a#b.txt": "a",
    "a?b.txt": "a",
    "a%2Fb.txt": "a/b.txt",
    "t\tab.txt": "tab.txt",
    "c\rr.txt": "cr.txt",
    "c\x01.txt": "c%01.txt",
    " lead.txt": "lead.txt",
    "new\nline.txt": 404,
    "back\\slash.txt": 400,
    ".uploads/x.txt": 400,
}


def logged(client: mlflow.MlflowClient, experiment: str, name: str) -> str | int:
    """The one name under which an artifact is listed, or the status with which it was refused."""
    run = client.create_run(experiment).info.run_id
    path = Path(tempfile.mkdtemp(dir=os.environ["CLIENT_TMP"]), name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(name)
    folder = name.rpartition("/")[0] or None
    try:
        client.log_artifact(run, str(path), folder)
    except HTTPError as error:
        return error.response.status_code
    found = client.list_artifacts(run)
    while found[0].is_dir:
        found = client.list_artifacts(run, found[0].path)
    (file,) = found
    return str(file.path)


def main() -> None:
    """Log all of them."""
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("names")
    assert {name: logged(client, experiment, name) for name in BECOMES} == BECOMES


if __name__ == "__main__":
    main()
