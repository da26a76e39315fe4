"""Whether official images can be pulled here: asked quickly, remembered, never waited for."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import docker
import requests

from tests.engine.cache import cache_folder
from tests.engine.connection import connect

# A registry that does not answer in this time is not there.
ASK_SECONDS = 8
# The longest silence of the engine during a pull.
PULL_SILENCE_SECONDS = 120
# How long "no" stays believed, so that a run without a registry does not ask each time.
REMEMBER_SECONDS = 6 * 3600.0

UNREACHABLE = (docker.errors.DockerException, requests.RequestException)


def refused_lately(engine_host: str, image: str) -> bool:
    """Whether this image was asked for in the last hours and could not be had."""
    age = time.time() - _remembered().get(_key(engine_host, image), 0.0)
    return 0 <= age < REMEMBER_SECONDS


def offered(engine_host: str, images: list[str]) -> set[str]:
    """Those of the images that the engine can pull now. Takes ASK_SECONDS at most."""
    asked = [image for image in images if not refused_lately(engine_host, image)]
    if not asked:
        return set()
    with ThreadPoolExecutor(len(asked)) as pool:
        offers = pool.map(lambda image: _is_offered(engine_host, image), asked)
        answers = dict(zip(asked, offers, strict=True))
    _remember(engine_host, [image for image, offer in answers.items() if not offer])
    return {image for image, offer in answers.items() if offer}


def pull(engine_host: str, image: str) -> bool:
    """Pull an image; False (and remembered) where that fails after all."""
    try:
        with closing(connect(engine_host, timeout=PULL_SILENCE_SECONDS)) as client:
            client.images.pull(image)
    except UNREACHABLE:
        _remember(engine_host, [image])
        return False
    return True


def _is_offered(engine_host: str, image: str) -> bool:
    # The engine asks for the manifest, with its own mirrors, proxies and login; nothing is pulled.
    try:
        with closing(connect(engine_host, timeout=ASK_SECONDS)) as client:
            client.api.inspect_distribution(image)  # type: ignore[no-untyped-call]
    except UNREACHABLE:
        return False
    return True


def _key(engine_host: str, image: str) -> str:
    return f"{engine_host} {image}"


def _memory() -> Path:
    return cache_folder() / "registry-refusals.json"


def _remembered() -> dict[str, float]:
    try:
        return {str(key): float(when) for key, when in json.loads(_memory().read_text()).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _remember(engine_host: str, images: list[str]) -> None:
    now = time.time()
    memory = _remembered() | {_key(engine_host, image): now for image in images}
    fresh = _memory().with_suffix(".new")
    fresh.write_text(json.dumps(memory, indent=1))
    fresh.replace(_memory())
