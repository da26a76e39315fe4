"""Where images come from: official ones if they can be pulled, else stand-ins, made once."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.engine import Engine
from tests.images import ImageError, Provenance, ensure, provide, recipes, registry
from tests.images.catalogue import official_images
from tests.images.provenance import as_table
from tests.images.recipes import RECIPES, Recipe, upstream_version


def test_every_image_of_the_catalogue_is_accounted_for(
    images: dict[str, Provenance], docker_client: docker.DockerClient
) -> None:
    assert {name: each.image for name, each in images.items()} == official_images()
    for each in images.values():
        present = bool(docker_client.images.list(name=each.image))
        assert present == (each.source != "missing"), each


def test_only_what_no_package_carries_is_missing(images: dict[str, Provenance]) -> None:
    missing = {name for name, each in images.items() if each.source == "missing"}
    assert not missing & set(RECIPES)


def test_second_run_is_quick_and_changes_nothing(
    engine: Engine, images: dict[str, Provenance], docker_client: docker.DockerClient
) -> None:
    def ids() -> set[str | None]:
        return {docker_client.images.get(name).id for name in _present(images)}

    before = ids()
    began = time.monotonic()
    again = ensure(engine.host)
    assert time.monotonic() - began < 2
    assert {name: each.source for name, each in again.items()} == {
        name: each.source for name, each in images.items()
    }
    assert ids() == before


def test_table_names_every_image_and_its_source(images: dict[str, Provenance]) -> None:
    lines = as_table(images).splitlines()
    assert len(lines) == len(images) + 1
    for each in images.values():
        assert any(each.image in line and each.source in line for line in lines)


def test_unknown_name_is_refused_with_those_that_exist(engine: Engine) -> None:
    with pytest.raises(ImageError, match=r"no-such-image.*postgres"):
        ensure(engine.host, ["no-such-image"])


def test_tag_promises_a_version() -> None:
    assert upstream_version("python:3.13-slim-trixie") == "3.13"
    assert upstream_version("registry.example:5000/mysql:9.7.4") == "9.7.4"
    assert upstream_version("minio/minio:RELEASE.2025-09-07T16-13-09Z") == ""


def test_digest_follows_everything_that_goes_in(tmp_path: Path, invented: Recipe) -> None:
    digest = invented.digest("some:1", b"certificates")
    assert invented.digest("some:1", b"certificates") == digest
    assert invented.digest("some:2", b"certificates") != digest
    script = tmp_path / invented.name / "content"
    script.write_text("two")
    changed = invented.digest("some:1", b"certificates")
    assert changed != digest
    script.chmod(0o755)
    assert invented.digest("some:1", b"certificates") != changed


def test_digest_follows_the_certificates() -> None:
    base = RECIPES["base"]
    assert base.digest("some:1", b"one") != base.digest("some:1", b"two")


@pytest.fixture
def invented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe for an image of one file, known to no registry."""
    name = f"invented-{uuid.uuid4().hex[:8]}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "Dockerfile").write_text('FROM scratch\nCOPY content /content\nCMD ["/content"]\n')
    (folder / "content").write_text("one")
    recipe = Recipe(name, "one file")
    monkeypatch.setattr(recipes, "HERE", tmp_path)
    monkeypatch.setitem(RECIPES, name, recipe)
    monkeypatch.setenv("STACKCTL_TEST_CACHE", str(tmp_path / "cache"))
    return recipe


@pytest.fixture
def invented_image(
    invented: Recipe, docker_client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The official name of that image; all its tags are removed afterwards."""
    image = f"stackctl-test/official-{invented.name}:1"
    monkeypatch.setattr(provide, "official_images", lambda: {invented.name: image})
    yield image
    for built in docker_client.images.list(filters={"label": "io.stackctl.test.stand-in"}):
        if any(invented.name in tag for tag in built.tags):
            docker_client.images.remove(str(built.id), force=True)


def test_stand_in_is_rebuilt_when_its_recipe_changes_and_only_then(
    engine: Engine,
    docker_client: docker.DockerClient,
    invented: Recipe,
    invented_image: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "_is_offered", lambda host, image: False)
    found = ensure(engine.host)
    assert found == {invented.name: Provenance(invented_image, "stand-in", "one file")}
    first = docker_client.images.get(invented_image).id
    ensure(engine.host)
    assert docker_client.images.get(invented_image).id == first
    (invented.folder / "content").write_text("two")
    ensure(engine.host)
    assert docker_client.images.get(invented_image).id != first
    # As another checkout with the older recipe would: the older build is still there.
    (invented.folder / "content").write_text("one")
    ensure(engine.host)
    assert docker_client.images.get(invented_image).id == first


def test_refusal_is_remembered_and_not_asked_for_again(
    engine: Engine, invented: Recipe, invented_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(host: str, image: str) -> bool:
        asked.append(image)
        return False

    monkeypatch.setattr(registry, "_is_offered", refuse)
    ensure(engine.host)
    ensure(engine.host)
    assert asked == [invented_image]
    monkeypatch.setattr(registry, "REMEMBER_SECONDS", 0.0)
    assert ensure(engine.host)[invented.name].source == "stand-in"
    assert asked == [invented_image] * 2


def test_image_that_can_be_pulled_is_never_stood_in_for(
    engine: Engine, invented: Recipe, invented_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled: list[str] = []

    def pull(host: str, image: str) -> bool:
        pulled.append(image)
        return True

    monkeypatch.setattr(registry, "_is_offered", lambda host, image: True)
    monkeypatch.setattr(registry, "pull", pull)
    assert ensure(engine.host)[invented.name].source == "official"
    assert pulled == [invented_image]


def test_pull_that_fails_ends_in_a_stand_in(
    engine: Engine, invented: Recipe, invented_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_is_offered", lambda host, image: True)
    assert ensure(engine.host)[invented.name].source == "stand-in"
    assert registry.refused_lately(engine.host, invented_image)


def test_build_that_fails_shows_its_last_lines(
    engine: Engine, invented: Recipe, invented_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_is_offered", lambda host, image: False)
    (invented.folder / "Dockerfile").write_text("FROM scratch\nCOPY absent /\n")
    with pytest.raises(ImageError, match=f"{invented_image}.*absent"):
        ensure(engine.host)


def _present(images: dict[str, Provenance]) -> list[str]:
    return [each.image for each in images.values() if each.source != "missing"]
