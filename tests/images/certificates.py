"""The certificates this machine trusts, so that builds can fetch what this machine can."""

import ssl
from pathlib import Path

from tests.images.errors import ImageError

DEBIAN_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def trusted_certificates() -> bytes:
    """The CA bundle of this machine: `$SSL_CERT_FILE`, else OpenSSL's default, else Debian's."""
    found = ssl.get_default_verify_paths().cafile
    for bundle in (Path(found) if found else None, DEBIAN_BUNDLE):
        if bundle is not None and bundle.is_file():
            return bundle.read_bytes()
    raise ImageError("no CA bundle found on this machine (install ca-certificates)")
