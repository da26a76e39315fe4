"""Rendering for processes of the machine: descriptions, scripts, and what supervisord reads."""

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from supervisor.options import ServerOptions  # type: ignore[import-untyped]
from syrupy.assertion import SnapshotAssertion

from stackctl import scenarios, settings
from stackctl.errors import BadSetting, MachineError, UserError
from stackctl.render import Bundle, Component, ProcessRendering
from stackctl.render.templates import quoted, template
from tests.bundles import (
    COMPONENTS,
    MARIADB,
    NAMES,
    descriptions,
    differences,
    effective,
    process_host,
    process_variants,
    processes,
    readable,
    without,
    written,
)
from tests.hostile import HOSTILE
from tests.snapshots import names_in, title

SHOWN_VARIANTS = [
    *[(name, "auth=basic") for name in ("scenario-1", "scenario-3b", "scenario-6")],
    *[("scenario-4", f"object_store={store}") for store in ("minio", "rustfs")],
    ("scenario-5", "object_store=external"),
    ("scenario-5", "object_store=external object_store_endpoint=https://s3.example.org"),
    ("scenario-6", "bind=0.0.0.0 auth=basic public_hosts=srv.lan"),
    ("scenario-4", "bind=::1 object_store=minio"),
    ("scenario-5", "job_execution=true workers=4"),
    ("scenario-3b", "data=/srv/it's $mine"),
    ("scenario-3b", "mlflow_version=2.22.2 auth=basic"),
]
pytestmark = pytest.mark.filterwarnings("ignore:.*Can not relate snapshot")


# Snapshots: `pytest tests/render/test_processes.py --snapshot-update` writes them anew.


def shown(of: Bundle) -> Bundle:
    """Without the plug-in, which the image has too."""
    return without(of, "plugins/proxied_s3.py")


@pytest.mark.parametrize("name", NAMES)
def test_processes_render_as_in_the_snapshot(name: str, snapshot: SnapshotAssertion) -> None:
    assert readable(shown(processes(name))) == snapshot(name=name)


@pytest.mark.parametrize(("name", "flags"), SHOWN_VARIANTS)
def test_processvariants_differ_from_their_scenario_as_in_the_snapshot(
    name: str, flags: str, snapshot: SnapshotAssertion
) -> None:
    words = [flags] if flags.startswith("data=") else flags.split()
    before, after = shown(processes(name)), shown(processes(name, *words))
    text = differences(before, after, name, f"{name} --set {' --set '.join(words)}")
    assert text == snapshot(name=title(f"{name} {flags}"))


@pytest.mark.parametrize("name", ["scenario-5", "scenario-5-mysql"])
def test_processvariants_of_root_differ_as_in_the_snapshot(
    name: str, snapshot: SnapshotAssertion
) -> None:
    after = processes(name, service_user="nobody", components={"mysql": MARIADB})
    text = differences(shown(processes(name)), shown(after), name, f"{name}, MariaDB, by root")
    assert text == snapshot(name=f"{name}-root")


def test_no_snapshot_is_left_behind() -> None:
    assert names_in("processes") == set(NAMES)
    assert names_in("processvariants") == {
        *(title(f"{name} {flags}") for name, flags in SHOWN_VARIANTS),
        "scenario-5-root",
        "scenario-5-mysql-root",
    }


# Descriptions.


@pytest.mark.parametrize("name", NAMES)
def test_what_the_bundle_tells_is_what_the_descriptions_have(name: str) -> None:
    for flags, found in process_variants(name):
        described = descriptions(found)
        assert {f for f in found.files if f.startswith("processes/")} == {
            f"processes/{service}.toml" for service in described
        }
        bind = dict(flag.partition("=")[::2] for flag in flags).get("bind", "127.0.0.1")
        prefix = f"[{bind}]:" if ":" in bind else f"{bind}:"
        for service in found.services:
            entry = described[service.name]
            assert entry["digest"] == service.digest, flags
            assert entry["image"] == service.program, flags
            assert entry.get("one_shot", False) == service.once, flags
            ports = [f"{prefix}{port}" for port in service.ports.values()]
            assert entry.get("published", []) == ports, flags
            assert ("ready" in entry) != service.once, flags
            assert set(entry["after"]) <= set(described), flags
        named = {
            word for entry in described.values() for word in entry["command"]
            if word.startswith("./")
        }  # fmt: skip
        # What serves single sign-on is named by a script.
        beside = {f"./entrypoints/mlflow_{what}.py" for what in ("server", "oidc")}
        assert named | (beside if "auth=oidc" in flags else set()) == {
            f"./{f}" for f in found.files if f.startswith(("entrypoints/", "proxy/"))
        }, flags
        assert sorted(s for s, entry in described.items() if "volume" in entry) == list(
            found.volumes
        )
        assert found.networks == ()


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_is_in_an_environment_only_its_file_is_named(name: str) -> None:
    for flags, found in process_variants(name):
        used = set()
        for entry in descriptions(found).values():
            for key, value in entry.get("secrets", {}).items():
                assert key.endswith("_FILE"), flags
                assert Path(value).parent.name == dict(f.partition("=")[::2] for f in flags).get(
                    "name", name
                )
                used.add(Path(value).name)
            for key in entry["environment"]:
                assert not re.search("PASSWORD|SECRET|ACCESS_KEY|ROOT_USER", key), flags
        assert used == set(found.secrets), flags


@pytest.mark.parametrize("home", HOSTILE)
def test_a_hostile_path_arrives_unchanged_in_descriptions(home: str) -> None:
    for name in ("scenario-4", "scenario-5-mysql", "scenario-6"):
        for store in ("seaweedfs", "minio", "rustfs"):
            found = processes(name, f"object_store={store}", "auth=basic", home=home)
            described = descriptions(found)
            for volume in found.volumes:
                assert described[volume]["volume"] == f"{home}/data/{name}/{volume}"
            if store != "seaweedfs":
                assert f"{home}/data/{name}/objects" in described["objects"]["command"]
            for entry in described.values():
                for path in entry.get("secrets", {}).values():
                    assert Path(path).parent == Path(f"{home}/.secrets/{name}")


@pytest.mark.parametrize(
    "value", [*HOSTILE, "no", "1e3", "", "\t\n\r\0", "\ufeff", "\x7f", "'''", '"""', 5, True]
)
def test_a_quoted_value_is_one_toml_scalar(value: object) -> None:
    assert tomllib.loads(f"a = {quoted(value)}\nb = [{quoted(value)}]") == {
        "a": value,
        "b": [value],
    }


@pytest.mark.parametrize("line", ['digest = "0000000000000000"', "0" * 16])
def test_a_value_that_looks_like_the_place_of_the_digest_stays(line: str) -> None:
    home = f"/srv/{line}\n{line}\n"
    found = descriptions(processes("scenario-5", home=home))
    assert found["postgres"]["volume"] == f"{home}/data/scenario-5/postgres"
    assert found["postgres"]["digest"] != "0" * 16


@pytest.mark.parametrize("name", NAMES)
def test_servers_wait_for_their_stores_and_not_for_the_bucket(name: str) -> None:
    described = descriptions(processes(name))
    stores = [service for service in described if service in ("postgres", "mysql")]
    assert described[scenarios.load(name).server]["after"] == stores
    if "bucket" in described:
        assert described["bucket"]["after"] == ["objects"]


def test_an_artifacts_server_with_a_login_waits_for_the_tables_of_its_users() -> None:
    with_login = descriptions(processes("scenario-6", "auth=basic"))
    assert with_login["artifacts"]["after"] == ["postgres", "tracking"]
    assert descriptions(processes("scenario-6"))["artifacts"]["after"] == []


@pytest.mark.parametrize(
    ("bind", "address"),
    [("127.0.0.2", "127.0.0.2"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]")],
)
def test_a_server_is_asked_at_an_address_that_reaches_it(bind: str, address: str) -> None:
    found = descriptions(processes("scenario-5", f"bind={bind}", "auth=basic"))
    assert urlsplit(found["tracking"]["ready"]["url"]).netloc == f"{address}:5000"


@pytest.mark.parametrize("name", ["scenario-5", "scenario-6"])
def test_the_plug_in_is_found_from_the_folder_in_which_the_server_runs(
    name: str, tmp_path: Path
) -> None:
    found = processes(name)
    written(found, tmp_path / "bundle")
    cwd = tmp_path / "run" / "tracking"
    cwd.mkdir(parents=True)
    source = (
        "from importlib.metadata import distribution; from importlib.util import find_spec;"
        "(found,) = distribution('stackctl-proxied-s3').entry_points;"
        "print(found.group, find_spec(found.module).origin)"
    )
    path = descriptions(found)["tracking"]["environment"]["PYTHONPATH"]
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False, cwd=cwd,
        env={"PYTHONPATH": path},
    )  # fmt: skip
    assert done.stderr == ""
    group, _, path = done.stdout.strip().partition(" ")
    assert group == "mlflow.artifact_repository"
    assert (cwd / path).resolve() == tmp_path / "bundle" / "plugins" / "proxied_s3.py"


# Digests.


def digests(name: str = "scenario-5", **machine: Any) -> dict[str, str]:
    return {service.name: service.digest for service in processes(name, **machine).services}


@pytest.mark.parametrize(
    ("machine", "services"),
    [
        ({"ports": {"postgres": 11000}}, {"postgres", "tracking"}),
        ({"ports": {"objects": 11000}}, {"objects", "tracking"}),
        ({"ports": {"filer": 11000}}, {"objects"}),
        (
            {"components": {"postgres": replace(COMPONENTS["postgres"], label="postgres 19")}},
            {"postgres"},
        ),
        (
            {"components": {"mlflow": replace(COMPONENTS["mlflow"], label="mlflow 4")}},
            {"tracking"},
        ),
        (
            {"components": {"seaweedfs": replace(COMPONENTS["seaweedfs"], label="weed at /x")}},
            {"objects"},
        ),
        ({"service_user": "nobody"}, {"postgres"}),
        ({"ports": {"mysql": 11000}, "components": {"mysql": MARIADB}}, set()),
    ],
)
def test_the_digest_of_a_service_follows_what_the_machine_gives_it(
    machine: dict[str, Any], services: set[str]
) -> None:
    before, now = digests(), digests(**machine)
    assert {name for name in now if now[name] != before[name]} == services


def test_a_server_with_another_plug_in_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests()
    real = template

    def changed(path: str) -> str | None:
        return f"{real(path)}# more\n" if path.endswith("proxied_s3.py") else real(path)

    monkeypatch.setattr("stackctl.render.processes.template", changed)
    now = digests()
    assert {name for name in now if now[name] != before[name]} == {"tracking"}


# What supervisord reads.


def read_by_supervisor(of: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ServerOptions:
    """The configuration as supervisord has it, which ends the test where it is not accepted."""
    written(of, folder / "bundle")
    (folder / "run").mkdir()
    (folder / "logs").mkdir()
    monkeypatch.chdir(folder / "run")
    monkeypatch.setenv("STACKCTL_RUN", str(folder / "run"))
    options = ServerOptions()
    options.realize(["-c", "../bundle/supervisord.conf"])
    return options


@pytest.mark.parametrize("name", NAMES)
def test_supervisor_accepts_its_configuration(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = processes(name, home=HOSTILE[1])
    options = read_by_supervisor(found, tmp_path, monkeypatch)
    assert (options.nodaemon, options.umask, options.loglevel) == (True, 0o077, 20)
    assert Path(options.childlogdir).resolve() == Path(options.logfile).parent == tmp_path / "logs"
    groups = sorted(options.process_group_configs, key=lambda group: group.priority)
    assert [group.name for group in groups] == [service.name for service in found.services]
    for group, service in zip(groups, found.services, strict=True):
        (process,) = group.process_configs
        assert process.command.endswith(f"-m stackctl.runtimes.embedded.guard {service.name}'")
        assert bool(process.autorestart) != service.once
        assert process.stdout_logfile == f"../logs/{service.name}.log"
        assert process.stopsignal == 15
        # supervisord must not lose patience before the guard does.
        stop = descriptions(found)[service.name].get("stop_seconds", 30)
        assert process.stopwaitsecs > stop + 3


@pytest.mark.parametrize("home", HOSTILE)
def test_no_path_of_the_user_is_in_supervisors_configuration(home: str) -> None:
    for flags in ((), ("auth=basic",), ("data=/srv/x",)):
        conf, _ = processes("scenario-3b", *flags, home=home).files["supervisord.conf"]
        assert conf == processes("scenario-3b").files["supervisord.conf"][0]


def test_supervisord_stays_root_where_root_deploys() -> None:
    """Without the line it warns at each start."""
    machine = replace(process_host(service_user="nobody"), uid=0)
    chosen = effective("scenario-5")
    found = ProcessRendering(scenarios.load("scenario-5"), chosen, machine).bundle()
    assert "\nuser=root\n" in found.files["supervisord.conf"][0]
    assert "\nuser=" not in processes("scenario-5").files["supervisord.conf"][0]


# What the machine lacks, and what does not go together.


def lacking(name: str) -> dict[str, Component]:
    return {name: Component(name, missing=f"there is no {name}", mend=f"apt install {name}")}


def test_the_browser_is_left_out_with_a_note_where_adminer_is_missing() -> None:
    found = processes("scenario-3b-mysql", components=lacking("adminer"))
    assert [service.name for service in found.services] == ["mysql", "tracking"]
    assert found.notes == ("service browser is left out: there is no adminer; apt install adminer",)
    assert "browser" not in found.files["supervisord.conf"][0]
    there = processes("scenario-3b-mysql")
    assert [service.name for service in there.services] == ["mysql", "tracking", "browser"]
    assert there.notes == ()


@pytest.mark.parametrize(
    ("name", "flags", "component"),
    [
        ("scenario-3b", (), "mlflow"),
        ("scenario-5", (), "postgres"),
        ("scenario-5", (), "seaweedfs"),
        ("scenario-5-mysql", (), "mysql"),
        ("scenario-5", ("object_store=minio",), "minio"),
        ("scenario-5", ("object_store=rustfs",), "rustfs"),
    ],
)
def test_a_missing_program_is_the_machines_fault_and_says_what_to_do(
    name: str, flags: tuple[str, ...], component: str
) -> None:
    with pytest.raises(MachineError, match=f"there is no {component}") as error:
        processes(name, *flags, components=lacking(component))
    assert error.value.hint == f"apt install {component}"
    assert error.value.exit_code == 3


@pytest.mark.parametrize("component", ["postgres", "mysql", "minio", "rustfs", "adminer"])
def test_a_program_that_the_scenario_does_not_need_may_be_missing(component: str) -> None:
    assert processes("scenario-3b", components=lacking(component)) == processes("scenario-3b")


@pytest.mark.parametrize(
    "flag", ["images.postgres=postgres:17", "image_flavor=user", "memory.tracking=3g"]
)
def test_a_setting_that_only_containers_have_gives_a_note(flag: str) -> None:
    key = flag.partition("=")[0]
    assert processes("scenario-5", flag).notes == (
        f"setting {key} has no effect on the embedded runtime, which runs no containers",
    )
    assert processes("scenario-5", "workers=3").notes == ()


def test_a_scenario_that_sets_what_only_containers_have_is_no_reason_for_a_note() -> None:
    found = scenarios.load("scenario-5")
    found = found.model_copy(update={"settings": {**found.settings, "image_flavor": "user"}})
    chosen = settings.resolve(found, environment={})
    assert ProcessRendering(found, chosen, process_host()).bundle().notes == ()


@pytest.mark.parametrize("bind", ["0.0.0.0", "192.0.2.1", "::1", "::"])
def test_seaweedfs_is_not_published_where_others_reach_its_inner_ports(bind: str) -> None:
    flags = (f"bind={bind}", "auth=basic")
    with pytest.raises(BadSetting, match=r"SeaweedFS listens on 127\.0\.0\.1 alone") as error:
        processes("scenario-4", *flags)
    assert error.value.key == "object_store_port"
    assert "--runtime docker, or --set object_store=minio" in str(error.value)
    assert processes("scenario-4", *flags, "object_store=minio").services
    assert processes("scenario-5", *flags).services
    assert processes("scenario-4", "bind=127.0.0.2").services


@pytest.mark.parametrize("name", NAMES)
def test_only_what_is_published_listens_beyond_loopback(name: str) -> None:
    for store in ("seaweedfs", "minio", "rustfs"):
        if store == "seaweedfs" and name == "scenario-4":
            continue
        flags = ("bind=0.0.0.0", "auth=basic", "public_hosts=srv.lan", f"object_store={store}")
        found = processes(name, *flags)
        for service, entry in descriptions(found).items():
            texts = [found.files[f"processes/{service}.toml"][0]]
            texts += [found.files[w[2:]][0] for w in entry["command"] if w.startswith("./")]
            assert ("0.0.0.0" in json.dumps(texts)) == ("published" in entry), service


@pytest.mark.parametrize(
    ("name", "setting"), [("scenario-6", "artifacts_port"), ("scenario-3b-mysql", "browser_port")]
)
def test_a_port_that_clients_need_cannot_be_taken_away(name: str, setting: str) -> None:
    with pytest.raises(UserError, match=f"publishes {setting}, which is not set"):
        processes(name, f"{setting}=")


def test_one_more_server_changes_nothing_of_what_runs() -> None:
    tls = ("tls=internal", "public_url=https://ml.example.org")
    two, three = (
        processes("scenario-5", *tls, f"replicas={number}").files["supervisord.conf"][0]
        for number in (2, 3)
    )
    assert three.startswith(two.rstrip())
