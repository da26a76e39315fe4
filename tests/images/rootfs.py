"""Debian root file systems, made by mmdebstrap and imported into the engine."""

import hashlib
import logging
import shlex
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import docker
from filelock import FileLock

from tests.engine.cache import cache_folder
from tests.engine.packages import find_tool
from tests.images.errors import ImageError

# On everything this package makes; a stand-in has the hash of its recipe as the value.
LABEL = "io.stackctl.test.stand-in"
REPOSITORY = "stackctl-test/rootfs"
BUNDLE = "etc/ssl/certs/ca-certificates.crt"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rootfs:
    """A minimal Debian of one suite with some packages and this machine's certificates.

    `emptied` names folders, relative to the root, whose content is left out.
    """

    suite: str
    packages: tuple[str, ...]
    emptied: tuple[str, ...] = ()

    def key(self, certificates: bytes) -> str:
        """A hash over what is in it and over how this module makes it."""
        state = hashlib.sha256(Path(__file__).read_bytes())
        state.update(f"{self}".encode() + certificates)
        return state.hexdigest()[:16]

    def ensure(self, client: docker.DockerClient, certificates: bytes) -> str:
        """The tag of the imported file system, made if the engine has none yet."""
        key = self.key(certificates)
        tag = f"{REPOSITORY}:{key}"
        with FileLock(cache_folder() / f"rootfs-{key}.lock"):
            if not client.images.list(name=tag):
                self._make(client, tag, certificates)
        return tag

    def _make(self, client: docker.DockerClient, tag: str, certificates: bytes) -> None:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="stackctl-rootfs-") as scratch:
            bundle = Path(scratch) / "bundle.crt"
            bundle.write_bytes(certificates)
            archive = Path(scratch) / "rootfs.tar"
            self._bootstrap(bundle, archive)
            repository, _, version = tag.partition(":")
            client.api.import_image_from_file(
                str(archive),
                repository=repository,
                tag=version,
                changes=[f"ENV PATH={PATH}", "ENV LANG=C.UTF-8", f"LABEL {LABEL}=rootfs"],
            )
        log.info("made %s %s in %.0f s", self.suite, self.packages, time.monotonic() - began)

    def _bootstrap(self, bundle: Path, archive: Path) -> None:
        mmdebstrap = find_tool("mmdebstrap")
        if mmdebstrap is None:
            raise ImageError("mmdebstrap is not installed")
        command = [
            mmdebstrap,
            "--quiet",
            "--variant=minbase",
            f"--include={','.join(self.packages)}",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-include=/usr/share/doc/*/copyright",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            "--dpkgopt=force-unsafe-io",
            '--aptopt=APT::Install-Recommends "false"',
            '--aptopt=Acquire::Languages "none"',
            # A mirror may lag behind sid by more than its release file allows.
            '--aptopt=Acquire::Check-Valid-Until "false"',
            f'--customize-hook=cat {shlex.quote(str(bundle))} > "$1/{BUNDLE}"',
            *(
                f'--customize-hook=find "$1/{folder}" -mindepth 1 -delete'
                for folder in self.emptied
            ),
            self.suite,
            str(archive),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
            last = (errors or done.stderr.splitlines() or ["no output"])[-1]
            raise ImageError(f"mmdebstrap {self.suite} failed: {last}")
