"""What a user's program does with the skill registry of MLflow 3.18: `skills.py VERB STATE`.

`write` registers skills and keeps in STATE what `read` has to find; `read` says what it finds
otherwise.
"""
# mypy: disable-error-code="attr-defined"

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

SKILL = "---\nname: greeter\ndescription: greets\n---\n# Greets\nHéllo.\n"
FILES = {"SKILL.md": SKILL, "scripts/größe.py": "print('ü')\n", "a b/c.txt": "x" * 70_000}


def write(state: Path) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import GitSource
    from mlflow.genai import register_skill

    client = MlflowClient()
    with tempfile.TemporaryDirectory(dir=os.environ["CLIENT_TMP"]) as folder:
        for name, text in FILES.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
        for organization in ("", "acme"):
            register_skill(source=folder, organization=organization)
        Path(folder, "SKILL.md").write_text(f"{SKILL}More.\n", "utf-8")
        register_skill(source=folder)
    client.create_skill_version(
        name="elsewhere", source=GitSource(url="https://git.example.org/r.git", ref="v1")
    )
    client.set_skill_tag(name="greeter", key="team", value="a b/c")
    client.set_skill_alias(name="greeter", alias="best", version=1)
    state.write_text(json.dumps(_found(client)))


def read(state: Path) -> None:
    from mlflow import MlflowClient

    found, wanted = _found(MlflowClient()), json.loads(state.read_text())
    assert found == wanted, found


def immutable(state: Path) -> None:
    """The proxy writes nothing where the uploaded content is."""
    import mlflow
    import requests

    source = next(iter(json.loads(state.read_text())["uploaded"]))
    place = source.removeprefix("mlflow-artifacts:/")
    base = f"{mlflow.get_tracking_uri()}/api/2.0/mlflow-artifacts/artifacts"
    answer = requests.put(f"{base}/{place}/SKILL.md", data=b"other", timeout=20)
    assert answer.status_code == 403, answer.text


def _found(client: Any) -> dict[str, Any]:
    """Every version, and each file of those whose content was uploaded."""
    from mlflow.genai.skills import pull

    versions: dict[str, Any] = {}
    uploaded: dict[str, Any] = {}
    for skill in client.search_skills():
        named = f"@{skill.organization}/{skill.name}" if skill.organization else skill.name
        for version in client.search_skill_versions(
            name=skill.name, organization=skill.organization
        ):
            source = version.source.to_dict()
            versions[f"{named}/{version.version}"] = [
                source, version.digest, str(version.status), skill.tags, version.creation_timestamp,
            ]  # fmt: skip
            if "artifact_path" not in source:
                continue
            with tempfile.TemporaryDirectory(dir=os.environ["CLIENT_TMP"]) as folder:
                root = Path(pull(f"skills:/{named}/{version.version}", destination=folder))
                uploaded[source["artifact_path"]] = {
                    path.relative_to(root).as_posix(): path.read_text("utf-8")
                    for path in sorted(root.rglob("*")) if path.is_file()
                }  # fmt: skip
    best = client.get_skill_version_by_alias(name="greeter", alias="best").version
    assert len(uploaded) == 3, uploaded
    return {"versions": versions, "uploaded": uploaded, "best": best}


if __name__ == "__main__":
    {"write": write, "read": read, "immutable": immutable}[sys.argv[1]](Path(sys.argv[2]))
