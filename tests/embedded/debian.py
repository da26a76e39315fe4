"""Real database servers and PHP from Debian, unpacked into the tests' cache, never installed.

Each public function answers a folder for the front of PATH. What lies in it are small scripts that
run an unpacked program with the loader and the libraries of its own Debian suite, so it matters
neither what this machine has installed nor which release it is, and any user may run them.
"""

import hashlib
import os
import shlex
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from tests.engine.cache import cache_folder
from tests.engine.errors import EngineUnavailable
from tests.engine.packages import find_tool, install_missing

# For root, whose home is closed to the user that a server runs as.
SHARED_CACHE = Path("/var/cache/stackctl-tests")

# The servers take --no-defaults and its like as their very first argument only.
WRAPPER = """\
#!/bin/sh
root={root}
case ${{1-}} in --no-defaults | --defaults-*) first=$1; shift ;; *) first= ;; esac
exec {command} ${{first:+"$first"}} {options} "$@"
"""


class ProgramsUnavailable(Exception):
    """The programs cannot be had on this machine; the message is one line of reason."""


@dataclass(frozen=True)
class Programs:
    """Programs of one Debian suite, in a prefix of their own inside the unpacked tree.

    `programs`: name -> path in the tree and the options (shell words, `$root` is the tree) that
    tell the program where its files are. `links`: path in the prefix -> path in the tree. Paths
    in the tree may be patterns. `called`: name -> what a program takes for its own path, where that
    matters.
    """

    suite: str
    packages: tuple[str, ...]
    programs: Mapping[str, str]
    links: Mapping[str, str]
    called: Mapping[str, str] = field(default_factory=dict)

    def ensure(self) -> Path:
        """The folder for PATH, made if it is not there yet. Raises ProgramsUnavailable."""
        cache = _cache()
        # The place is a part of it: the scripts name it.
        made_of = Path(__file__).read_bytes() + f"{self} {cache}".encode()
        root = cache / f"debian-{self.packages[0]}-{hashlib.sha256(made_of).hexdigest()[:16]}"
        # A folder that exists is complete. Another user's cache lets us take no lock.
        if not root.is_dir():
            with FileLock(f"{root}.lock"):
                if not root.is_dir():
                    self._make(root)
        return root / "prefix/bin"

    def _make(self, root: Path) -> None:
        with tempfile.TemporaryDirectory(dir=root.parent) as scratch:
            tree = Path(scratch) / "tree"
            self._unpack(tree)
            (tree / "prefix/bin").mkdir(parents=True)
            for name, pattern in self.links.items():
                link = tree / "prefix" / name
                link.symlink_to(os.path.relpath(_only(tree, pattern), link.parent))
            for name, words in self.programs.items():
                pattern, _, options = words.partition(" ")
                argv0 = self.called.get(name, name)
                command = _command(tree, argv0, _only(tree, pattern))
                wrapper = tree / "prefix/bin" / name
                wrapper.write_text(
                    WRAPPER.format(root=shlex.quote(str(root)), command=command, options=options)
                )
                wrapper.chmod(0o755)
            # Whatever the umask is; and a copy of a set-user-id program must not be one.
            subprocess.run(["chmod", "-R", "u=rwX,go=rX", str(tree)], check=True)
            tree.rename(root)

    def _unpack(self, tree: Path) -> None:
        command = [
            _mmdebstrap(),
            "--quiet",
            # Nothing of the packages is run, so this needs neither root nor a chroot.
            "--variant=extract",
            "--mode=chrootless",
            "--skip=check/chrootless,output/dev",
            f"--include={','.join(self.packages)}",
            '--aptopt=APT::Install-Recommends "false"',
            '--aptopt=Acquire::Languages "none"',
            # A mirror may lag behind sid by more than its release file allows.
            '--aptopt=Acquire::Check-Valid-Until "false"',
            self.suite,
            str(tree),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
            last = (errors or done.stderr.splitlines() or ["no output"])[-1]
            raise ProgramsUnavailable(f"mmdebstrap {self.suite} {self.packages[0]}: {last}")


def mariadb() -> Path:
    """A folder with `mariadbd` and `mariadb-install-db`, of Debian bookworm."""
    basedir = '--basedir="$root/prefix"'
    return Programs(
        "bookworm",
        ("mariadb-server-core", "mariadb-client-core"),
        {
            "mariadbd": f"usr/sbin/mariadbd {basedir}",
            "mariadb-install-db": f"usr/bin/mariadb-install-db {basedir}",
            # The installer starts these, and `sbin/mariadbd`, from below its basedir.
            "my_print_defaults": "usr/bin/my_print_defaults",
            "resolveip": "usr/bin/resolveip",
        },
        {"sbin": "prefix/bin", "lib": "usr/lib", "share": "usr/share"},
    ).ensure()


def mysql() -> Path:
    """A folder with `mysqld`, the one of Debian sid that is in the stand-in image."""
    return Programs(
        "sid",
        ("mysql-server-core",),
        {"mysqld": 'usr/sbin/mysqld --basedir="$root/prefix"'},
        {"lib": "usr/lib", "share": "usr/share"},
    ).ensure()


def postgresql() -> Path:
    """A folder with `initdb` and `postgres` of PostgreSQL 15, with TLS, of Debian bookworm."""
    place = "usr/lib/postgresql/15/bin"
    return Programs(
        "bookworm",
        ("postgresql-15",),
        {
            "initdb": f'{place}/initdb -L "$root/usr/share/postgresql/15"',
            "postgres": f"{place}/postgres",
        },
        {},
        # initdb starts the one beside it; and that finds its files from where it is.
        {"initdb": "$root/prefix/bin/initdb", "postgres": f"$root/{place}/postgres"},
    ).ensure()


def adminer() -> Path:
    """A folder with `php`, which can reach MySQL and MariaDB, and the page `adminer.php`."""
    modules = ("ctype", "iconv", "mysqlnd", "mysqli", "pdo", "pdo_mysql")
    settings = (
        'extension_dir="$root/prefix/modules"',
        # Debian's default is a folder that its package makes.
        'session.save_path="${TMPDIR:-/tmp}"',
        *(f"extension={module}" for module in modules),
    )
    # -n: the settings of this machine's own PHP are none of its business.
    options = " ".join(["-n", *(f"-d {setting}" for setting in settings)])
    return Programs(
        "sid",
        ("adminer", "php-cli", "php-mysql"),
        {"php": f"usr/bin/php8.* {options}"},
        {"bin/adminer.php": "usr/share/adminer/adminer.php", "modules": "usr/lib/php/2*"},
    ).ensure()


def _cache() -> Path:
    """The tests' cache folder; for root, one that other users can read."""
    cache = cache_folder()
    closed = any(not folder.stat().st_mode & stat.S_IXOTH for folder in (cache, *cache.parents))
    if os.geteuid() != 0 or not closed:
        return cache
    SHARED_CACHE.mkdir(exist_ok=True)
    SHARED_CACHE.chmod(0o755)
    return SHARED_CACHE


def _only(tree: Path, *patterns: str) -> Path:
    found = [path for pattern in patterns for path in tree.glob(pattern)]
    if len(found) != 1:
        raise ProgramsUnavailable(f"the packages hold {len(found)} of {patterns}, not one")
    return found[0]


def _command(tree: Path, argv0: str, program: Path) -> str:
    """The shell words that run a program of the tree when the tree is at `$root`."""
    target = f'"$root/{program.relative_to(tree)}"'
    if program.read_bytes()[:4] != b"\x7fELF":
        # The installer's one slip with spaces in the path of the cache.
        program.write_text(program.read_text().replace("$basedir/bin ", '"$basedir/bin" '))
        return f"/bin/sh {target}"
    loader = _only(tree, "lib/*/ld-linux*.so.*", "usr/lib/*/ld-linux*.so.*")
    libraries = f"$root/usr/lib/{loader.parent.name}:$root/lib/{loader.parent.name}"
    start = f'"$root/{loader.relative_to(tree)}" --argv0 "{argv0}"'
    return f'{start} --library-path "{libraries}" {target}'


def _mmdebstrap() -> str:
    found = find_tool("mmdebstrap")
    if found is None:
        try:
            install_missing()
        except EngineUnavailable as error:
            raise ProgramsUnavailable(error.reason) from error
    return found or "mmdebstrap"
