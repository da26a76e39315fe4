"""Rendering: the same input gives the same bytes, and every value arrives as it was given."""

import configparser
import json
import os
import py_compile
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from dotenv import dotenv_values
from syrupy.assertion import SnapshotAssertion

import stackctl
from stackctl import scenarios, settings
from stackctl.errors import BadSetting, UserError
from stackctl.render import Bundle, ComposeRendering, yaml_quoted
from tests.bundles import (
    NAMES,
    REPLICATED,
    bundle,
    check,
    compose,
    differences,
    effective,
    host,
    processes,
    readable,
    texts,
    tool,
    variants,
    without,
    written,
)
from tests.hostile import HOSTILE, PASSWORDS
from tests.scripts import Call, calls, programs
from tests.snapshots import names_in, title


def parsed(of: Bundle) -> dict[str, Any]:
    """compose.yaml as YAML has it."""
    return _parsed(of.files["compose.yaml"][0])


@cache
def _parsed(text: str) -> dict[str, Any]:
    # The loader in C does the same in a tenth of the time.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return dict(yaml.load(text, Loader=loader))


SHOWN_VARIANTS = [
    *[(name, "auth=basic") for name in ("scenario-1", "scenario-3b", "scenario-6")],
    *[("scenario-4", f"object_store={store}") for store in ("minio", "rustfs")],
    ("scenario-5", "object_store=external"),
    ("scenario-5", "object_store=external object_store_endpoint=https://s3.example.org"),
    ("scenario-6", "public_hosts=mlflow.example.org,srv.lan:8443"),
    ("scenario-6", "bind=0.0.0.0 auth=basic public_hosts=srv.lan"),
    ("scenario-5", "bind=::1 object_store_port=5014"),
    ("scenario-3b", "image_flavor=user"),
    ("scenario-5", "image_flavor=conda"),
    ("scenario-5", "images.tracking=registry.example.org/mlflow:1"),
    ("scenario-5", "job_execution=true workers=4 memory.tracking=6g"),
    ("scenario-3b", "data=/srv/it's $mine"),
    ("scenario-3b", "mlflow_version=2.22.2 auth=basic"),
]

pytestmark = pytest.mark.filterwarnings("ignore:.*Can not relate snapshot")


# Snapshots: `pytest tests/render/test_compose.py --snapshot-update` writes them anew.


@pytest.mark.parametrize("name", NAMES)
def test_scenarios_render_as_in_the_snapshot(name: str, snapshot: SnapshotAssertion) -> None:
    assert readable(without(bundle(name), "images/")) == snapshot(name=name)


@pytest.mark.parametrize("flavor", ["slim", "user", "conda"])
def test_image_files_are_as_in_the_snapshot(flavor: str, snapshot: SnapshotAssertion) -> None:
    found = bundle("scenario-5", f"image_flavor={flavor}")
    others = tuple(name for name in found.files if not name.startswith("images/"))
    assert readable(without(found, *others)) == snapshot(name=flavor)


@pytest.mark.parametrize(("name", "flags"), SHOWN_VARIANTS)
def test_variants_differ_from_their_scenario_as_in_the_snapshot(
    name: str, flags: str, snapshot: SnapshotAssertion
) -> None:
    words = [flags] if flags.startswith("data=") else flags.split()
    before, after = without(bundle(name), "images/"), without(bundle(name, *words), "images/")
    shown = differences(before, after, name, f"{name} --set {' --set '.join(words)}")
    assert shown == snapshot(name=title(f"{name} {flags}"))


@pytest.mark.parametrize("flavor", ["slim", "conda"])
def test_the_image_of_another_release_is_installed_from_that_alone(flavor: str) -> None:
    flags = (f"image_flavor={flavor}", "mlflow_version=2.22.2")
    found = bundle("scenario-5", *flags)
    wanted = found.files["images/mlflow/requirements.txt"][0].splitlines()
    assert "mlflow[auth]==2.22.2" in wanted
    assert "sqlalchemy<2.1" in wanted
    assert built(found).startswith("stackctl-mlflow:2.22.2-")
    assert "images/mlflow/requirements.lock" not in found.files
    assert "requirements.lock" not in found.files["images/mlflow/Dockerfile"][0]


@pytest.mark.parametrize("make", [bundle, processes])
def test_a_login_that_would_share_a_table_with_the_runs_is_refused(
    make: Callable[..., Bundle],
) -> None:
    flags = ("auth=basic", "mlflow_version=3.5.1")
    assert make("scenario-3b", *flags).files
    with pytest.raises(BadSetting, match=r"auth=basic with PostgreSQL needs MLflow 3\.6\.0"):
        make("scenario-5", *flags)


def test_no_snapshot_is_left_behind() -> None:
    assert names_in("scenarios") == set(NAMES)
    assert names_in("image") == {"slim", "user", "conda"}
    assert names_in("variants") == {title(f"{name} {flags}") for name, flags in SHOWN_VARIANTS}


# The same bytes.


def test_same_input_gives_same_bytes() -> None:
    """In processes whose hashes differ, so that no set or dict order leaks into a file."""
    source = (
        "import json, sys; from tests.bundles import *; "
        "json.dump([kind(n, 'auth=basic', 'images.mysql=mysql:9', 'memory.tracking=3g')"
        ".files for n in NAMES for kind in (bundle, processes)], sys.stdout)"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", source], capture_output=True, check=True,
            cwd=Path(__file__).parents[2], env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(outputs) == 1


def test_the_digest_of_a_service_follows_its_definition_and_scripts_alone() -> None:
    def digests(*flags: str) -> dict[str, str]:
        return {service.name: service.digest for service in bundle("scenario-5", *flags).services}

    plain = digests()
    assert digests("browser_port=5099") == plain
    changed = {
        "workers=3": {"tracking"},
        "images.postgres=postgres:17": {"postgres"},
        "memory.objects=2g": {"objects"},
        "bucket=other": {"bucket", "tracking"},
        "public_hosts=a.example": {"tracking"},
        "image_flavor=user": {"bucket", "tracking"},
    }
    for flag, names in changed.items():
        now = digests(flag)
        assert {name for name in now if now[name] != plain[name]} == names, flag


@pytest.mark.parametrize("name", NAMES)
def test_the_digest_in_the_label_is_the_services(name: str) -> None:
    found = bundle(name)
    labels = {n: s["labels"]["io.stackctl.digest"] for n, s in parsed(found)["services"].items()}
    assert labels == {service.name: service.digest for service in found.services}


# What Compose makes of it.


@pytest.mark.docker  # some hundred calls of Compose
@pytest.mark.parametrize("name", NAMES)
def test_compose_accepts_the_scenario_with_every_setting_that_changes_it(
    name: str, tmp_path: Path
) -> None:
    accepted = set()
    for number, (flags, found) in enumerate(variants(name)):
        compose_file = found.files["compose.yaml"][0]
        if compose_file in accepted:
            continue
        answer = compose(written(found, tmp_path / str(number)), "config", "--quiet")
        assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", ""), flags
        accepted.add(compose_file)
    assert len(accepted) > 8


@pytest.mark.parametrize("home", HOSTILE)
@pytest.mark.parametrize("name", ["scenario-3b-mysql", "scenario-2"])
def test_a_hostile_path_arrives_unchanged(name: str, home: str, tmp_path: Path) -> None:
    data = f"{home}/data"
    found = bundle(name, *([f"data={data}"] if data.isprintable() else []), home=home)
    data = data if data.isprintable() else f"{home}/data/{name}"
    answer = compose(written(found, tmp_path), "config", "--format", "json")
    assert (answer.returncode, answer.stderr) == (0, "")
    # Compose prints each `$` doubled, so that its output can be its input again.
    model = json.loads(answer.stdout.replace("$$", "$"))
    plain = bundle(name)
    assert set(model["services"]) == set(parsed(plain)["services"])
    for service in model["services"].values():
        assert service["labels"]["io.stackctl.home"] == home
    server = model["services"][scenarios.load(name).server]
    binds = [v for v in server["volumes"] if v["type"] == "bind" and v["source"] == data]
    assert [v["target"] for v in binds] == [data]
    folder = f"{home}/.secrets/{name}"
    files = [secret["file"] for secret in model.get("secrets", {}).values()]
    assert files == [f"{folder}/{secret}" for secret in found.secrets]


def start(of: Bundle, script: str, folder: Path) -> Call:
    """Run a server's script; the container's `/run/secrets` and `/tmp` are folders of the test."""
    programs(folder, "python3")
    for name in ("tmp", "secrets"):
        (folder / name).mkdir()
    for name in of.secrets:
        (folder / "secrets" / name).write_text(PASSWORDS[name], encoding="utf-8")
    text = of.files[f"entrypoints/{script}.sh"][0]
    # A user's data may lie below /tmp: what a server empties is a folder of its own.
    for line in re.findall(r"^\s*(?:rm|find) .*", text, re.MULTILINE):
        assert line == "rm -rf /var/tmp/stackctl-scratch"
    for path in ("/tmp/auth.ini", "/var/tmp/stackctl-scratch"):
        text = text.replace(path, str(folder / "tmp" / Path(path).name))
    (told,) = calls(folder, text.replace("/run/secrets", str(folder / "secrets")), cwd=folder)
    return told


@pytest.mark.parametrize("home", HOSTILE)
def test_a_hostile_path_arrives_unchanged_in_scripts(home: str, tmp_path: Path) -> None:
    told = start(bundle("scenario-3b", home=home), "tracking", tmp_path)
    data = f"{home}/data/scenario-3b"
    assert told.variables["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{data}/mlruns.db"
    at = told.arguments.index("--default-artifact-root")
    assert told.arguments[at + 1] == f"{data}/mlruns"


@pytest.mark.parametrize("auth", ["none", "basic"])
@pytest.mark.parametrize("name", NAMES)
def test_every_server_starts_with_its_secrets_and_none_is_an_argument(
    name: str, auth: str, tmp_path: Path
) -> None:
    home, data = tmp_path / "my home", tmp_path / "my home" / "data" / name
    data.mkdir(parents=True)
    found = bundle(name, f"auth={auth}", home=str(home))
    chosen = scenarios.load(name)
    for server in [s for s in chosen.services if s in ("ui", "tracking", "artifacts")]:
        told = start(found, server, tmp_path / server)
        assert told.arguments[:3] == ["-P", "/stackctl/mlflow_server.py", "server"]
        assert not any(value in word for value in PASSWORDS.values() for word in told.arguments)
        uri = told.variables.get("MLFLOW_BACKEND_STORE_URI", "")
        if chosen.backend in ("postgres", "mysql") and uri:
            encoding = {"postgres": "utf-8", "mysql": "latin-1"}[chosen.backend]
            password = urlsplit(uri).password
            assert password is not None
            sent = unquote(password).encode(encoding)
            assert sent == PASSWORDS[f"{chosen.backend}_password"].encode()
        assert bool(uri) is (server != "artifacts")
        if chosen.artifacts == "s3":
            assert told.variables["AWS_SECRET_ACCESS_KEY"] == PASSWORDS["s3_secret_key"]
        if auth == "basic":
            assert told.variables["MLFLOW_AUTH_ADMIN_PASSWORD"] == PASSWORDS["admin_password"]
            ini = Path(told.variables["MLFLOW_AUTH_CONFIG_PATH"])
            assert stat.S_IMODE(ini.stat().st_mode) == 0o600
            users = configparser.ConfigParser()
            users.read(ini, encoding="utf-8")
            users_uri = users["mlflow"]["database_uri"]
            if server == "artifacts":
                assert urlsplit(users_uri).hostname == chosen.backend
            else:
                local = f"sqlite:///{data}/users.db"
                assert users_uri == (uri if chosen.backend in ("postgres", "mysql") else local)
        assert ("--app-name" in told.arguments) == (auth == "basic")


@pytest.mark.parametrize("home", [home for home in HOSTILE if home.isprintable()])
def test_the_rendered_dotenv_reads_back_as_the_same_settings(home: str, tmp_path: Path) -> None:
    flags = [f"data={home}", "images.mysql=mysql:9", "public_hosts=a.example,b:81"]
    found = scenarios.load("scenario-3b")
    first = settings.resolve(found, flags=flags, environment={})
    written(bundle("scenario-3b", *flags), tmp_path)
    assert dotenv_values(tmp_path / ".env", interpolate=False)["STACKCTL_DATA"] == home
    again = settings.resolve(found, environment={}, dotenv=tmp_path / ".env")
    assert again.settings == first.settings


@pytest.mark.parametrize(
    "value", [*HOSTILE, "no", "1e3", "~", "null", "", "\t\n\r\0", "\ufeff", 5, True, None]
)
def test_a_quoted_value_is_one_yaml_scalar(value: object) -> None:
    text = yaml_quoted(value).replace("$$", "$")
    assert yaml.safe_load(f"a: {{b: {text}, c: [{text}]}}") == {"a": {"b": value, "c": [value]}}
    assert len(text.splitlines()) == 1


# What every Compose file must hold.


@pytest.mark.parametrize("name", NAMES)
def test_every_service_has_few_rights_and_limits(name: str) -> None:
    for flags, found in variants(name):
        for service_name, service in parsed(found)["services"].items():
            told = f"{service_name} {flags}"
            assert service["cap_drop"] == ["ALL"], told
            assert service["security_opt"] == ["no-new-privileges:true"], told
            assert service["read_only"] is True, told
            assert service["init"] is True, told
            assert service["mem_limit"], told
            assert service["pids_limit"], told
            assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}, told
            assert "container_name" not in service, told
            assert "privileged" not in service, told
            one_shot = service_name == "bucket"
            assert service["restart"] == ("no" if one_shot else "unless-stopped"), told
            assert ("healthcheck" in service) != one_shot, told
            assert not re.search(r":latest$|^[^:]+$", service["image"]), told


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_published_but_on_the_address_that_was_chosen(name: str) -> None:
    for flags, found in variants(name):
        bind = dict(flag.split("=", 1) for flag in flags).get("bind", "127.0.0.1")
        prefix = f"[{bind}]:" if ":" in bind else f"{bind}:"
        ports = [p for s in parsed(found)["services"].values() for p in s.get("ports", [])]
        assert ports
        assert all(port.startswith(prefix) for port in ports), flags
        expected = sorted(p for service in found.services for p in service.ports.values())
        numbers = {int(port.removeprefix(prefix).split(":")[0]): port for port in ports}
        assert sorted(numbers) == expected
        # HTTP/3 has the port of HTTPS, and no other has one of UDP.
        for port in (port for port in ports if port.endswith("/udp")):
            assert port.removesuffix("/udp") in ports
            assert "tls" in str(flags)


@pytest.mark.parametrize("name", NAMES)
def test_stores_are_on_the_internal_network_and_published_only_when_asked(name: str) -> None:
    model = parsed(bundle(name))
    stores = set(model["services"]) & {"postgres", "mysql", "objects"}
    for store in stores:
        clients_write = store == "objects" and name == "scenario-4"
        assert ("ports" in model["services"][store]) == clients_write
        assert model["services"][store]["networks"] == (
            ["inside", "edge"] if clients_write else ["inside"]
        )
    if stores:
        assert model["networks"]["inside"]["internal"] is True


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_is_in_an_environment_only_its_file_is_named(name: str) -> None:
    for _, found in variants(name):
        model = parsed(found)
        used = {s for service in model["services"].values() for s in service.get("secrets", [])}
        assert used == set(found.secrets) == set(model.get("secrets", {}))
        for service in model["services"].values():
            for key, value in service.get("environment", {}).items():
                if re.search("PASSWORD|PASSPHRASE|SECRET|ACCESS_KEY|ROOT_USER", key):
                    assert key.endswith("_FILE"), key
                    assert value.startswith("/run/secrets/"), key


def built(of: Bundle) -> str:
    """The image that is built from the bundle; "" where none is."""
    return next((program.name for program in of.programs if program.action == "build"), "")


@pytest.mark.parametrize("name", NAMES)
def test_what_the_bundle_tells_is_what_the_file_has(name: str) -> None:
    for _, found in variants(name):
        model = parsed(found)
        assert model["name"] == found.project
        assert sorted(model.get("volumes", {})) == list(found.volumes)
        assert sorted(model.get("networks", {})) == list(found.networks)
        assert {s.name: s.program for s in found.services} == {
            key: service["image"] for key, service in model["services"].items()
        }
        assert [s.name for s in found.services if s.once] == [
            key for key, service in model["services"].items() if service["restart"] == "no"
        ]
        mounted = {
            f"entrypoints/{Path(v['source']).name}"
            for service in model["services"].values()
            for v in service.get("volumes", [])
            if v["source"].startswith("./entrypoints/")
        }
        assert mounted == {key for key in found.files if key.startswith("entrypoints/")}
        builds = any("build" in service for service in model["services"].values())
        assert builds == bool(built(found)) == ("images/mlflow/Dockerfile" in found.files)


@pytest.mark.parametrize("name", NAMES)
def test_dependants_wait_for_health_and_for_the_bucket(name: str) -> None:
    model = parsed(bundle(name))["services"]
    expected = {key: "service_healthy" for key in model if key in ("postgres", "mysql", "objects")}
    expected |= {key: "service_completed_successfully" for key in model if key == "bucket"}
    server = model[scenarios.load(name).server]
    got = {key: value["condition"] for key, value in server.get("depends_on", {}).items()}
    assert got == expected


@pytest.mark.parametrize("name", ["scenario-1", "scenario-2", "scenario-3a", "scenario-3b"])
def test_local_stores_are_at_the_same_path_and_owned_by_the_user(name: str) -> None:
    server = parsed(bundle(name))["services"][scenarios.load(name).server]
    data = f"/home/ada/my stacks/data/{name}"
    assert {"type": "bind", "source": data, "target": data,
            "bind": {"create_host_path": False}} in server["volumes"]  # fmt: skip
    assert server["user"] == "1000:1000"


# Refused settings.


@pytest.mark.parametrize(
    ("name", "flags", "setting", "other"),
    [
        ("scenario-6", ("artifacts_port=5006",), "artifacts_port", "port"),
        ("scenario-4", ("port=5014",), "port", "object_store_port"),
        ("scenario-3b-mysql", ("browser_port=5005",), "browser_port", "port"),
    ],
)
def test_two_services_with_one_port_are_refused(
    name: str, flags: tuple[str, ...], setting: str, other: str
) -> None:
    with pytest.raises(BadSetting, match=f"{other} has the same port") as error:
        bundle(name, *flags)
    assert error.value.key == setting


def test_port_that_a_scenario_does_not_publish_is_no_conflict() -> None:
    assert bundle("scenario-5", "browser_port=5000").services


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("scenario-6", "artifacts_port"),
        ("scenario-4", "object_store_port"),
        ("scenario-3b-mysql", "browser_port"),
    ],
)
@pytest.mark.parametrize("store", ["seaweedfs", "minio", "rustfs"])
def test_a_port_that_clients_need_cannot_be_taken_away(name: str, setting: str, store: str) -> None:
    with pytest.raises(UserError, match=f"publishes {setting}, which is not set"):
        bundle(name, f"{setting}=", f"object_store={store}")


@pytest.mark.parametrize("bind", ["0.0.0.0", "::"])
def test_an_address_that_no_client_can_use_is_not_kept_with_the_runs(bind: str) -> None:
    with pytest.raises(UserError, match=f"bind={bind} is none that clients can use"):
        bundle("scenario-6", f"bind={bind}", "auth=basic")


# Linters over everything that is rendered.


def test_shellcheck_accepts_every_script(tmp_path: Path) -> None:
    seen: dict[str, Path] = {}
    for name in NAMES:
        for _, found in variants(name):
            for path, text in texts(found).items():
                if path.endswith(".sh") and text not in seen:
                    seen[text] = tmp_path / f"{len(seen)}-{Path(path).name}"
                    seen[text].write_text(text, encoding="utf-8")
    named = {path.name.split("-", 1)[1] for path in seen.values()}
    assert {re.sub(r"-\d\.sh$", ".sh", name) for name in named} == {
        "tracking.sh", "ui.sh", "artifacts.sh", "postgres.sh", "postgres-initialised.sh",
        "mysql.sh", "mysql-initialised.sh", "seaweedfs.sh",
    }  # fmt: skip
    check([tool("shellcheck"), *map(str, seen.values())])


@pytest.mark.parametrize("flavor", ["slim", "user", "conda"])
def test_hadolint_accepts_the_dockerfile(flavor: str, tmp_path: Path) -> None:
    found = bundle("scenario-5", f"image_flavor={flavor}")
    written(found, tmp_path)
    check([tool("hadolint"), str(tmp_path / "images/mlflow/Dockerfile")])
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", found.files["images/mlflow/Dockerfile"][0],
                        re.MULTILINE)  # fmt: skip
    named = {f"images/mlflow/{word}" for line in copied for word in line.split()}
    assert named == {n for n in found.files if n.startswith("images/")} - {
        "images/mlflow/Dockerfile"
    }


def test_rendered_python_compiles(tmp_path: Path) -> None:
    for number, store in enumerate(("seaweedfs", "external")):
        found = bundle("scenario-5", f"object_store={store}", "auth=basic")
        folder = written(found, tmp_path / str(number))
        for path in [*folder.rglob("*.py")]:
            py_compile.compile(str(path), doraise=True)
        names = sorted(path.name for path in folder.rglob("*.py"))
        assert names == ["bucket.py", "mlflow_login.py", "mlflow_server.py", "proxied_s3.py"]


# Another installation.


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    """A copy of stackctl with its data folders beside it, as an editable install has them."""
    source = Path(stackctl.__file__).parents[1]
    for name in ("stackctl", "templates", "scenarios", ".secrets.example"):
        shutil.copytree(
            source / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


def render_with(installation: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "stackctl", "render", "scenario-3b"],
        cwd=installation, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(installation)},
    )  # fmt: skip


def test_a_template_with_an_unknown_variable_raises(installation: Path) -> None:
    assert render_with(installation).returncode == 0
    template = installation / "templates/compose/tracking.yaml.j2"
    template.write_text(template.read_text() + "# {{ no_such_variable }}\n")
    answer = render_with(installation)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "UndefinedError: 'no_such_variable' is undefined" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_data_folders_inside_the_package_are_found_as_in_a_wheel(installation: Path) -> None:
    before = render_with(installation)
    for name in ("templates", "scenarios", ".secrets.example"):
        (installation / name).rename(installation / "stackctl" / name.lstrip("."))
    after = render_with(installation)
    assert (after.returncode, after.stdout) == (0, before.stdout)


def test_an_incomplete_installation_says_so(installation: Path) -> None:
    shutil.rmtree(installation / "scenarios")
    answer = render_with(installation)
    assert answer.returncode == 3
    assert "folder scenarios/ is missing; install stackctl again" in answer.stderr


def test_engines_before_25_get_no_start_interval() -> None:
    """Compose refuses it for them."""
    older = replace(host(), checks_often_at_start=False)
    text = ComposeRendering(scenarios.load("scenario-5"), effective("scenario-5"), older)
    checked = yaml.safe_load(text.bundle().files["compose.yaml"][0])["services"].values()
    checks = [service["healthcheck"] for service in checked if "healthcheck" in service]
    assert len(checks) == 3
    assert {check["interval"] for check in checks} == {"1s", "2s"}
    assert not any("start_interval" in check for check in checks)


@pytest.mark.parametrize(("given", "kept"), [("", ""), ("*.corp,10.0.0.1", "*.corp,10.0.0.1,")])
@pytest.mark.parametrize("store", ["seaweedfs", "minio", "rustfs"])
def test_containers_do_not_ask_a_proxy_for_each_other(store: str, given: str, kept: str) -> None:
    chosen = effective("scenario-5", f"object_store={store}")
    told = replace(host(), no_proxy=given)
    text = ComposeRendering(scenarios.load("scenario-5"), chosen, told).bundle()
    services = yaml.safe_load(text.files["compose.yaml"][0])["services"]
    for name in ("tracking", "objects", "bucket"):
        environment = services[name]["environment"]
        assert environment["NO_PROXY"] == environment["no_proxy"]
        assert environment["NO_PROXY"] == (
            f"{kept}localhost,127.0.0.1,postgres,objects,bucket,tracking"
        )
    plain = ComposeRendering(scenarios.load("scenario-5"), chosen, host()).bundle()
    assert "NO_PROXY" not in plain.files["compose.yaml"][0]


def test_what_is_due_again_and_again_is_for_one_server() -> None:
    jobs = bundle("scenario-5", *REPLICATED, "job_execution=true").files["compose.yaml"][0]
    services = yaml.safe_load(jobs)["services"]
    told = {
        name: services[name]["environment"].get("MLFLOW_SERVER_JOB_ENABLE_PERIODIC_TASKS")
        for name in ("tracking", "tracking-2", "tracking-3")
    }
    assert told == {"tracking": None, "tracking-2": "false", "tracking-3": "false"}


def test_what_is_said_of_a_server_is_said_of_each_that_repeats_it() -> None:
    found = yaml.safe_load(
        bundle("scenario-5", *REPLICATED, "memory.tracking=3g", "server.env.A=b",
               "server.args.x-frame-options=DENY").files["compose.yaml"][0]
    )["services"]  # fmt: skip
    servers = [found[name] for name in ("tracking", "tracking-2", "tracking-3")]
    assert {server["mem_limit"] for server in servers} == {"3g"}
    assert {server["environment"]["A"] for server in servers} == {"b"}
    assert not any("ports" in server for server in servers)
    assert "tracking" not in found["tracking"]["depends_on"]
    # The first one migrates the database.
    assert found["tracking-3"]["depends_on"]["tracking"] == {"condition": "service_healthy"}
    # One more is another configuration of the proxy, and no other proxy.
    assert set(found["proxy"]["depends_on"]) == {"tracking"}
