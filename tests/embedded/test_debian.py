"""The unpacked programs run for a user who did not unpack them."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.embedded.debian import ProgramsUnavailable, adminer, mariadb, mysql
from tests.images.catalogue import official_images
from tests.images.recipes import upstream_version

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")


@pytest.mark.parametrize(
    ("programs", "command", "printed"),
    [
        (mariadb, ("mariadbd", "--no-defaults", "--version"), "-MariaDB"),
        (mariadb, ("mariadb-install-db", "--no-defaults", "--help"), "--skip-test-db"),
        (
            mysql,
            ("mysqld", "--no-defaults", "--version"),
            f" Ver {upstream_version(official_images()['mysql'])}-",
        ),
        (adminer, ("php", "-m"), "\nmysqli\n"),
        (adminer, ("php", "-l", "adminer.php"), "No syntax errors"),
    ],
)
def test_anybody_runs_them(
    programs: Callable[[], Path], command: tuple[str, ...], printed: str
) -> None:
    try:
        folder = programs()
    except ProgramsUnavailable as reason:
        pytest.skip(str(reason))
    user = NOBODY if os.geteuid() == 0 else ()
    done = subprocess.run(
        [*user, *command],
        env={"PATH": f"{folder}:{os.environ['PATH']}"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert printed in done.stdout, done.stderr
