"""What the proxy keeps with `tls=acme`: its account at the authority, and certificates with keys.

It travels with the secrets of a backup, for it is some; a stack that comes back has its certificate
at once, and asks no authority that may refuse a fifth one in a week.
"""

import base64
import io
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from stackctl.deployment import Deployment
from stackctl.errors import UserError

# Among the secrets of an archive.
NAME = "acme_state"
# Of Caddy, which makes them anew.
_LEFT_OUT = {"locks", "ocsp"}


def packed(deployment: Deployment) -> dict[str, str]:
    """It as one text by its name; nothing where there is none."""
    folder = deployment.stack.proxy_state
    if deployment.settings.tls != "acme" or not folder.is_dir():
        return {}
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as tar:
        for path in sorted(folder.rglob("*")):
            inner = path.relative_to(folder)
            if path.is_file() and not path.is_symlink() and inner.parts[0] not in _LEFT_OUT:
                tar.add(path, str(inner), recursive=False)
    return {NAME: base64.b64encode(written.getvalue()).decode()}


@contextmanager
def taken(deployment: Deployment, text: str) -> Iterator[None]:
    """Have a stack that has none of its own keep it, unless it is not deployed.

    Raises:
        UserError: It is damaged.
    """
    folder = deployment.stack.proxy_state
    if not text or deployment.settings.tls != "acme" or folder.exists():
        yield
        return
    try:
        _unpack(text, folder)
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _unpack(text: str, folder: Path) -> None:
    try:
        with tarfile.open(fileobj=io.BytesIO(base64.b64decode(text)), mode="r:gz") as tar:
            for member in tar:
                inner = PurePosixPath(member.name)
                if not member.isreg() or inner.is_absolute() or ".." in inner.parts:
                    raise ValueError(member.name)
                content = tar.extractfile(member)
                path = folder.joinpath(*inner.parts)
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.touch(mode=0o600)
                path.write_bytes(content.read() if content else b"")
    except (ValueError, OSError, EOFError, tarfile.TarError):
        raise UserError(
            "what the archive holds of the proxy's certificates is damaged",
            hint="leave the passphrase out; secrets are made anew, and a certificate is asked for",
        ) from None
