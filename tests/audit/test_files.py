"""Every rendered file, with every setting, by auditors of other people: nothing unexplained."""

import hashlib
from pathlib import Path

import pytest

from tests.audit.tools import checkov, hadolint
from tests.bundles import NAMES, variants, written

# What they find, and why it is so.
EXPLAINED = {
    "CKV_DOCKER_2": "the health check is in the Compose file, where it knows the port and the path",
    "CKV_DOCKER_7": "the base image is an argument, whose default names a version",
}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with each different file of every scenario and setting, once."""
    folder = tmp_path_factory.mktemp("audited")
    seen: set[bytes] = set()
    for name in NAMES:
        for number, (_, found) in enumerate(variants(name)):
            place = folder / f"{name}-{number}"
            written(found, place)
            for path in [path for path in place.rglob("*") if path.is_file()]:
                content = hashlib.sha256(path.name.encode() + path.read_bytes()).digest()
                if content in seen or path.suffix == ".lock":
                    path.unlink()
                seen.add(content)
    return folder


def test_every_dockerfile_and_file_is_clean_or_explained(bundles: Path) -> None:
    dockerfiles = sorted(bundles.rglob("Dockerfile"))
    assert len(dockerfiles) > 3
    found = hadolint(dockerfiles) | checkov(bundles)
    unexplained = {f"{rule}: {what}" for rule, what in found if rule not in EXPLAINED}
    assert not unexplained
    assert {rule for rule, _ in found} == EXPLAINED.keys()


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("Dockerfile", "FROM python:latest\nRUN sudo ls\n", "DL3007"),
        ("compose.yaml", "services: {x: {environment: {AWS_SECRET_ACCESS_KEY: "
         "wJalrXUtnFEMI/K7MDENG/bPxRfiCYabcdefghij}}}\n", "CKV_SECRET_2"),
    ],
)  # fmt: skip
def test_they_would_find_something(tmp_path: Path, name: str, text: str, rule: str) -> None:
    (tmp_path / name).write_text(text)
    found = checkov(tmp_path)
    if name == "Dockerfile":
        found |= hadolint([tmp_path / name])
    assert rule in {code for code, _ in found}
