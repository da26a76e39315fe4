"""Making sure an engine has the images the shipped Compose files name."""

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import docker
from docker.errors import ImageNotFound
from filelock import FileLock

from tests.engine.cache import cache_folder
from tests.engine.connection import connect
from tests.engine.errors import EngineUnavailable
from tests.engine.packages import install_missing
from tests.images import registry
from tests.images.build import stand_in
from tests.images.catalogue import official_images
from tests.images.certificates import trusted_certificates
from tests.images.errors import ImageError
from tests.images.provenance import Provenance
from tests.images.recipes import RECIPES
from tests.images.rootfs import LABEL

BUILDS_AT_ONCE = 2
# The longest silence of the engine while it builds or imports.
BUILD_SILENCE_SECONDS = 900

log = logging.getLogger(__name__)


def ensure(engine_host: str, names: Iterable[str] | None = None) -> dict[str, Provenance]:
    """Give the engine the named images (default: all of the catalogue); what each one is.

    Official where it can be pulled, else a stand-in under the same name, else reported as
    `missing`. Raises ImageError where a stand-in exists and cannot be built, or a name is unknown.
    """
    known = official_images()
    wanted = dict(known) if names is None else {name: _known(known, name) for name in names}
    found = _present(engine_host, wanted)
    if len(found) == len(wanted):
        return found
    with FileLock(cache_folder() / "images.lock"):
        # Another session may have made some of them while we waited for the lock.
        found = _present(engine_host, wanted)
        absent = {name: image for name, image in wanted.items() if name not in found}
        return found | _obtain_all(engine_host, absent)


def _known(known: dict[str, str], name: str) -> str:
    if name not in known:
        raise ImageError(f"no image is called {name}; there are {', '.join(sorted(known))}")
    return known[name]


def _present(engine_host: str, wanted: dict[str, str]) -> dict[str, Provenance]:
    """Those of the wanted images that need nothing done."""
    certificates = trusted_certificates()
    found = {}
    with closing(connect(engine_host)) as client:
        for name, image in wanted.items():
            provenance = _settled(client, engine_host, name, image, certificates)
            if provenance is not None:
                found[name] = provenance
    return found


def _settled(
    client: docker.DockerClient, engine_host: str, name: str, image: str, certificates: bytes
) -> Provenance | None:
    recipe = RECIPES.get(name)
    refused = registry.refused_lately(engine_host, image)
    try:
        label = client.images.get(image).labels.get(LABEL)
    except ImageNotFound:
        return _missing(image) if recipe is None and refused else None
    if label is None:
        return Provenance(image, "official", "was here already")
    if recipe is not None and refused and label == recipe.digest(image, certificates):
        return Provenance(image, "stand-in", recipe.made_of)
    return None


def _obtain_all(engine_host: str, absent: dict[str, str]) -> dict[str, Provenance]:
    offered = registry.offered(engine_host, list(absent.values()))
    longest_first = sorted(absent, key=lambda name: [*RECIPES, name].index(name))
    with ThreadPoolExecutor(BUILDS_AT_ONCE) as pool:
        made = pool.map(
            lambda name: _obtain(engine_host, name, absent[name], offered), longest_first
        )
        return dict(zip(longest_first, made, strict=True))


def _obtain(engine_host: str, name: str, image: str, offered: set[str]) -> Provenance:
    if image in offered and registry.pull(engine_host, image):
        log.info("pulled %s", image)
        return Provenance(image, "official", "pulled")
    recipe = RECIPES.get(name)
    if recipe is None:
        return _missing(image)
    try:
        install_missing()
    except EngineUnavailable as unavailable:
        return Provenance(image, "missing", f"no stand-in can be built: {unavailable.reason}")
    with closing(connect(engine_host, timeout=BUILD_SILENCE_SECONDS)) as client:
        stand_in(client, recipe, image, trusted_certificates())
    return Provenance(image, "stand-in", recipe.made_of)


def _missing(image: str) -> Provenance:
    return Provenance(image, "missing", "cannot be pulled here, and no package carries it")
