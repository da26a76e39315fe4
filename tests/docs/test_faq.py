"""The errors of docs/faq.md read as MLflow's real client and server say them."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stackctl.versions import MLFLOW
from tests.docs.pages import DOCS, blocks, headings, rows, section, text

pytestmark = pytest.mark.live  # a real client
FAQ = text(DOCS / "faq.md")
# What provokes each error; its message is compared with the quotation below the heading.
PROVOKED = {
    "ConnectionError: no server answers": "MlflowClient(f'http://127.0.0.1:{port}').get_run('x')",
    "Artifacts that the client cannot write": "artifacts(closed).log_artifact(file)",
    "File store in maintenance mode": "MlflowClient('./mlruns').get_run('x')",
    "NoCredentialsError in scenario-4": "artifacts('s3://mlflow/artifacts').log_artifact(file)",
    "Out-of-date database schema": "MlflowClient(newer()).search_experiments()",
    "What is gone since the tutorials": "mlflow.list_experiments()",
}
# What needs a server is looked up in the server's own source.
SOURCES = {
    "403 Invalid Host header": "server/security_utils.py",
    "The UI opens and cannot load": "server/security_utils.py",
    "401 with a login": "server/auth/__init__.py",
}
OTHERS = ["My run is not in the UI", "A client that waits for minutes",
          "An artifact under another name"]  # fmt: skip
CLIENT = """
import json, os, pathlib, shutil, sqlite3, sys
import mlflow
from mlflow import MlflowClient
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository as artifacts

port = sys.argv[1]
closed, folder, file = (str(pathlib.Path(name).absolute()) for name in ("closed", "files", "file"))
pathlib.Path(file).touch()
for name in (closed, folder):
    os.mkdir(name)
os.chmod(closed, 0o500)
closed += "/mlruns/2"

def allowed():
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    return folder

def newer():
    # A database of today's tables, with the mark of a schema that this MLflow does not know.
    MlflowClient("sqlite:///today.db").search_experiments()
    shutil.copy("today.db", "newer.db")
    with sqlite3.connect("newer.db") as db:
        db.execute("UPDATE alembic_version SET version_num = 'dc11669786a6'")
    return "sqlite:///newer.db"

said = {}
for heading, words in json.loads(sys.argv[2]).items():
    try:
        eval(words)
    except Exception as error:
        kind = type(error)
        where = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        said[heading] = f"{where}{kind.__name__}: {error}"
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(
    tmp_path_factory: pytest.TempPathFactory, without_privileges: tuple[str, ...]
) -> dict[str, str]:
    """What the real client says to each provocation, with no server, key or right in reach."""
    done = subprocess.run(
        [*without_privileges, sys.executable, "-c", CLIENT, "1", json.dumps(PROVOKED)],
        cwd=tmp_path_factory.mktemp("client"),
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": "/nonexistent",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            "AWS_EC2_METADATA_DISABLED": "true",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def quoted(heading: str) -> str:
    """The quotation below a heading, in one line."""
    first = blocks(section(FAQ, heading), "text")[0]
    return " ".join(first.split())


def pattern(quotation: str) -> str:
    """A regular expression for what the quotation leaves open: `…`, ports, folders, versions."""
    found = re.escape(quotation).replace("…", ".*")
    found = re.sub(r"\b5000\b", "1", found)
    found = re.sub(r"'HOME/.*'", "'/.*'", found)
    return re.sub(r"\b(?=\w*\d)[0-9a-f]{12}\b", "[0-9a-f]{12}", found)


def test_every_error_has_a_heading() -> None:
    assert f"those of MLflow {MLFLOW}," in FAQ
    assert set(headings(FAQ, 2)) == {*PROVOKED, *SOURCES, *OTHERS}


@pytest.mark.parametrize("heading", PROVOKED)
def test_the_client_says_what_is_quoted(said: dict[str, str], heading: str) -> None:
    message = " ".join(said[heading].split())
    assert re.fullmatch(pattern(quoted(heading)), message), message


@pytest.mark.parametrize("heading", SOURCES)
def test_the_server_can_say_what_is_quoted(heading: str) -> None:
    package = importlib.util.find_spec("mlflow")
    assert package
    assert package.origin
    source = text(Path(package.origin).parent / SOURCES[heading])
    body = re.search(r"Response body: '(.*)'", quoted(heading))
    parts = (body[1] if body else quoted(heading)).split("…")
    assert all(part.strip() in source for part in parts), parts


@pytest.mark.parametrize("heading", [*PROVOKED, *SOURCES, *OTHERS])
def test_every_error_has_something_to_do(heading: str) -> None:
    told = section(FAQ, heading)
    table = {cell for row in rows(told) for cell in row}
    assert blocks(told, "bash", "python") or table & {"What to do", "Now"}
