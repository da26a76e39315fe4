"""The configuration that services read anew while they run, and which of it they have read."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from stackctl.services import SERVICES
from stackctl.stack import Stack
from stackctl.stack.files import write_files

_CAUSE = "its configuration changed"


def outdated(stack: Stack, files: Mapping[str, str]) -> dict[str, str]:
    """The services that have another one than these files, and why they are to read it anew.

    One of which nobody noted what it read has been started with what was there.
    """
    read = _noted(stack)
    return {
        name: _CAUSE for name, digest in _digests(files).items() if read.get(name, digest) != digest
    }


def note(stack: Stack, files: Mapping[str, str]) -> None:
    """They have read what these files have."""
    path, read = _file(stack), _digests(files)
    if read != _noted(stack):
        write_files(path.parent, {path.name: (json.dumps(read), 0o600)})


def _digests(files: Mapping[str, str]) -> dict[str, str]:
    return {
        kind.name: hashlib.sha256(files[kind.configuration].encode()).hexdigest()
        for kind in SERVICES.values()
        if kind.configuration in files
    }


def _noted(stack: Stack) -> dict[str, str]:
    try:
        return dict(json.loads(_file(stack).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _file(stack: Stack) -> Path:
    return stack.folder / "configuration.json"
