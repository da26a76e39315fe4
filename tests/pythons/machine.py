"""A small Debian with a Python of its own, as a folder that a process takes for its machine."""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tests.engine.cache import cache_folder
from tests.images.certificates import trusted_certificates
from tests.images.rootfs import PATH, Rootfs

# What a user's machine has, where the wheel and the tests are, and the cache of uv for speed. All
# of it goes with the process, which is the first of its own process namespace.
_INSIDE = """
set -e
mount -t overlay overlay -o lowerdir="$1",upperdir="$2/changed",workdir="$2/work" "$2/root"
cd "$2/root"
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs tmpfs tmp
cp /etc/resolv.conf /etc/hosts etc/
mkdir -p source cache
mount --rbind "$3" source
mount --bind "$4" cache
shift 4
exec chroot . env -i HOME=/root LANG=C.UTF-8 PATH="$PATH" UV_CACHE_DIR=/cache \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt STACKCTL_RUNTIME=embedded "$@"
"""


@dataclass(frozen=True)
class Debian(Rootfs):
    """A suite, and the packages that it has beside the smallest of it."""

    def unpacked(self) -> Path:
        """Its root folder, made if it is not in the tests' cache."""
        certificates = trusted_certificates()
        root = cache_folder() / f"machine-{self.suite}-{self.key(certificates)}"
        with FileLock(f"{root}.lock"):
            if not root.is_dir():
                with tempfile.TemporaryDirectory(dir=root.parent) as scratch:
                    bundle, made = Path(scratch) / "bundle.crt", Path(scratch) / "root"
                    bundle.write_bytes(certificates)
                    self._bootstrap(bundle, made)
                    made.rename(root)
        return root

    def run(self, script: str, source: Path, scratch: Path) -> str:
        """What a script of sh prints there; it must end well.

        Args:
            script: Sees `source` as /source. Of what it changes and starts nothing stays.
            source: A folder, which it may change.
            scratch: An empty folder.
        """
        for name in ("changed", "work", "root"):
            (scratch / name).mkdir(parents=True)
        cache = cache_folder() / "uv"
        cache.mkdir(exist_ok=True)
        done = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _INSIDE, "sh",
             self.unpacked(), scratch, source, cache, "sh", "-ec", script],
            env={**os.environ, "PATH": PATH}, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout
