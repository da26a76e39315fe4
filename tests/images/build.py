"""Building one stand-in from its recipe."""

import logging
import os
import shutil
import tempfile
import time
from pathlib import Path

import docker
from docker.errors import BuildError

from tests.engine.packages import find_tool
from tests.images.errors import ImageError
from tests.images.recipes import Recipe, upstream_version
from tests.images.rootfs import LABEL

log = logging.getLogger(__name__)


def stand_in(client: docker.DockerClient, recipe: Recipe, image: str, certificates: bytes) -> None:
    """Tag a stand-in with the official name, built unless the engine already has this very one.

    Every build keeps a tag of its own as well, so that two checkouts with different recipes
    re-tag instead of building in turns. Raises ImageError.
    """
    digest = recipe.digest(image, certificates)
    own_tag = f"stackctl-test/{recipe.name}:{digest}"
    if not client.images.list(name=own_tag):
        _build(client, recipe, image, own_tag, digest, certificates)
    repository, _, tag = image.rpartition(":")
    client.images.get(own_tag).tag(repository, tag)


def _build(
    client: docker.DockerClient,
    recipe: Recipe,
    image: str,
    own_tag: str,
    digest: str,
    certificates: bytes,
) -> None:
    began = time.monotonic()
    log.info("building a stand-in for %s", image)
    arguments = {"VERSION": upstream_version(image)}
    if recipe.rootfs is not None:
        arguments["ROOTFS"] = recipe.rootfs.ensure(client, certificates)
    with tempfile.TemporaryDirectory(prefix="stackctl-image-") as scratch:
        context = Path(scratch)
        _fill(context, recipe)
        try:
            client.images.build(
                path=str(context),
                tag=own_tag,
                buildargs=arguments,
                labels={LABEL: digest},
                rm=True,
                forcerm=True,
            )
        except BuildError as error:
            raise ImageError(f"stand-in for {image}: {_reason(error)}") from error
    log.info("built %s in %.0f s", image, time.monotonic() - began)


def _fill(context: Path, recipe: Recipe) -> None:
    shutil.copytree(recipe.folder, context, dirs_exist_ok=True)
    for path in context.rglob("*"):
        # Whatever the umask of the checkout was: users of an image who are not root read these.
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    for wheel in recipe.wheels:
        wheel.unpack(context)
    for tool in recipe.host_tools:
        found = find_tool(tool)
        if found is None:
            raise ImageError(f"{tool} is not installed")
        shutil.copy(found, context / tool)


def _reason(error: BuildError) -> str:
    printed = "".join(str(entry.get("stream", "")) for entry in error.build_log)
    return " | ".join([*printed.strip().splitlines()[-5:], str(error)])
