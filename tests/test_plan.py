"""A plan is data that prints as text; the text is compared word for word."""

from dataclasses import replace

import pytest

from stackctl.observed import Observed, ServiceState
from stackctl.plan import Plan, Step, diff, plan, service_steps
from stackctl.render import Bundle
from tests.bundles import NAMES, bundle, processes

NOTHING = "Nothing to do: the stack is as it should be."


def files_of(of: Bundle) -> dict[str, str]:
    """The files as they are on the disk after a deploy."""
    return {name: text for name, (text, _) in of.files.items()}


def running(of: Bundle) -> Observed:
    """What is observed when everything is as the bundle says."""
    services = {
        s.name: ServiceState(
            s.name,
            "exited" if s.once else "running",
            "" if s.once else "healthy",
            digest=s.digest,
            program=s.program,
            once=s.once,
        )
        for s in of.services
    }
    images = frozenset(s.program for s in of.services)
    return Observed(services, frozenset(of.volumes), frozenset(of.networks), images)


def with_service(observed: Observed, name: str, **changes: object) -> Observed:
    """The same, with one service in another state."""
    changed = replace(observed.services[name], **changes)  # type: ignore[arg-type]
    return replace(observed, services={**observed.services, name: changed})


def text(of: Bundle, observed: Observed, missing: list[str] | None = None) -> str:
    return str(plan(of, observed, files=files_of(of), missing_secrets=missing or []))


def test_first_deploy_makes_everything_in_order() -> None:
    wanted = bundle("scenario-3b-mysql")
    image = {service.name: service.program for service in wanted.services}
    got = plan(
        wanted, Observed(), files={}, missing_secrets=["mysql_password"], data="/home/ada/data"
    )
    assert (
        str(got)
        == f"""\
+ generate secret   mysql_password  (it has no file)
+ create   folder   /home/ada/data  (local stores need it)
+ write    file     .env  (it does not exist)
+ write    file     compose.yaml  (it does not exist)
+ write    file     entrypoints/mlflow_server.py  (it does not exist)
+ write    file     entrypoints/mysql-initialised.sh  (it does not exist)
+ write    file     entrypoints/mysql.sh  (it does not exist)
+ write    file     entrypoints/tracking.sh  (it does not exist)
+ write    file     images/mlflow/Dockerfile  (it does not exist)
+ write    file     images/mlflow/proxied_s3.dist  (it does not exist)
+ write    file     images/mlflow/proxied_s3.py  (it does not exist)
+ write    file     images/mlflow/requirements.lock  (it does not exist)
+ write    file     images/mlflow/uv.lock  (it does not exist)
+ pull     image    {image["mysql"]}  (it is not on the daemon)
+ build    image    {image["tracking"]}  (it is not on the daemon)
+ pull     image    {image["browser"]}  (it is not on the daemon)
+ create   network  edge  (it does not exist)
+ create   network  inside  (it does not exist)
+ create   volume   mysql  (it does not exist)
+ create   service  mysql  (it does not exist)
+ create   service  tracking  (it does not exist)
+ create   service  browser  (it does not exist)
Plan: 22 to make, 0 to change, 0 to remove."""
    )
    assert got.makes_folder
    assert [step.name for step in got.services] == ["mysql", "tracking", "browser"]


@pytest.mark.parametrize("name", NAMES)
def test_a_second_deploy_has_nothing_to_do(name: str) -> None:
    wanted = bundle(name)
    got = plan(wanted, running(wanted), files=files_of(wanted), missing_secrets=[])
    assert (str(got), bool(got), got.makes_folder) == (NOTHING, False, False)
    assert diff(wanted, files_of(wanted)) == ""


def test_a_changed_script_recreates_the_services_that_run_it() -> None:
    before, wanted = bundle("scenario-6"), bundle("scenario-6", "workers=3")
    got = plan(wanted, running(before), files=files_of(before), missing_secrets=[])
    assert (
        str(got)
        == """\
~ change   file     .env  (2 lines differ)
~ change   file     compose.yaml  (4 lines differ)
~ change   file     entrypoints/artifacts.sh  (2 lines differ)
~ change   file     entrypoints/tracking.sh  (2 lines differ)
~ recreate service  artifacts  (its definition or a script of it changed)
~ recreate service  tracking  (its definition or a script of it changed)
Plan: 0 to make, 6 to change, 0 to remove."""
    )


def test_a_changed_image_is_named_as_the_cause() -> None:
    before = bundle("scenario-5", "images.tracking=mlflow:1")
    wanted = bundle("scenario-5", "images.tracking=mlflow:1", "images.postgres=postgres:19")
    got = plan(wanted, running(before), files=files_of(before), missing_secrets=[])
    old = {service.name: service.program for service in before.services}["postgres"]
    assert (
        str(got)
        == f"""\
~ change   file     .env  (1 lines differ)
~ change   file     compose.yaml  (4 lines differ)
+ pull     image    postgres:19  (it is not on the daemon)
~ recreate service  postgres  (image {old} -> postgres:19)
Plan: 1 to make, 3 to change, 0 to remove."""
    )


@pytest.mark.parametrize(
    ("service", "changes", "line", "footer"),
    [
        (
            "postgres",
            {"state": "exited", "exit_code": 137, "health": "unhealthy"},
            "+ start    service  postgres  (it is exited (137))",
            "1 to make, 0 to change",
        ),
        (
            "postgres",
            {"state": "exited", "exit_code": 0},
            "+ start    service  postgres  (it is exited (0))",
            "1 to make, 0 to change",
        ),
        (
            "tracking",
            {"state": "paused"},
            "+ start    service  tracking  (it is paused, healthy)",
            "1 to make, 0 to change",
        ),
        (
            "tracking",
            {"state": "restarting", "health": "starting"},
            "+ start    service  tracking  (it is restarting, starting)",
            "1 to make, 0 to change",
        ),
        (
            "tracking",
            {"health": "unhealthy"},
            "~ restart  service  tracking  (it is unhealthy)",
            "0 to make, 1 to change",
        ),
        (
            "bucket",
            {"exit_code": 1},
            "+ start    service  bucket  (it is exited (1))",
            "1 to make, 0 to change",
        ),
        (
            "bucket",
            {"state": "created"},
            "+ start    service  bucket  (it is created)",
            "1 to make, 0 to change",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_service_that_is_not_as_it_should_be_is_mended(
    service: str, changes: dict[str, object], line: str, footer: str
) -> None:
    wanted = bundle("scenario-5")
    observed = with_service(running(wanted), service, **changes)
    assert text(wanted, observed) == f"{line}\nPlan: {footer}, 0 to remove."


def test_what_runs_with_something_old_is_started_anew() -> None:
    wanted = bundle("scenario-5")
    observed = running(wanted)
    found = plan(
        wanted, observed, files=files_of(wanted), missing_secrets=[], stale={"tracking": "x"}
    )
    assert [str(step) for step in found.steps] == ["~ restart  service  tracking  (x)"]


def test_what_reads_its_configuration_anew_is_told_and_runs_on() -> None:
    wanted = bundle("scenario-5", "tls=internal", "public_url=https://ml.example.org")
    observed = running(wanted)
    files = files_of(wanted)
    found = plan(wanted, observed, files=files, missing_secrets=[], outdated={"proxy": "x"})
    assert [str(step) for step in found.steps] == ["~ reload   service  proxy  (x)"]
    other = bundle("scenario-5", "tls=internal", "public_url=https://other.example.org")
    digests = [{s.name: s.digest for s in made.services}["proxy"] for made in (wanted, other)]
    assert digests[0] == digests[1]
    assert wanted.files["proxy/Caddyfile"] != other.files["proxy/Caddyfile"]


@pytest.mark.parametrize("health", ["", "starting", "healthy"])
def test_a_service_that_is_starting_is_left_alone(health: str) -> None:
    wanted = bundle("scenario-5")
    assert text(wanted, with_service(running(wanted), "tracking", health=health)) == NOTHING


def test_a_bucket_job_that_runs_right_now_is_left_alone() -> None:
    wanted = bundle("scenario-5")
    assert text(wanted, with_service(running(wanted), "bucket", state="running")) == NOTHING


def test_an_orphan_and_its_file_are_removed() -> None:
    wanted = bundle("scenario-3b")
    observed = running(wanted)
    orphan = ServiceState("browser", "running")
    got = plan(
        wanted,
        replace(observed, services={**observed.services, "browser": orphan}),
        files={**files_of(wanted), "entrypoints/browser.sh": "#!/bin/sh\n"},
        missing_secrets=[],
    )
    assert (
        str(got)
        == """\
- delete   file     entrypoints/browser.sh  (no longer part of the stack)
- remove   service  browser  (no longer part of the stack)
Plan: 0 to make, 0 to change, 2 to remove."""
    )


def test_a_missing_container_volume_network_and_secret_are_made_again() -> None:
    wanted = bundle("scenario-5")
    observed = running(wanted)
    gone = replace(
        observed,
        services={k: v for k, v in observed.services.items() if k != "objects"},
        volumes=observed.volumes - {"objects"},
        networks=observed.networks - {"inside"},
    )
    assert (
        text(wanted, gone, ["s3_secret_key"])
        == """\
+ generate secret   s3_secret_key  (it has no file)
+ create   network  inside  (it does not exist)
+ create   volume   objects  (it does not exist)
+ create   service  objects  (it does not exist)
Plan: 4 to make, 0 to change, 0 to remove."""
    )


def test_a_file_that_was_edited_is_written_anew_even_where_only_its_end_differs() -> None:
    wanted = bundle("scenario-3b")
    files = files_of(wanted)
    files["compose.yaml"] = files["compose.yaml"].rstrip("\n")
    got = plan(wanted, running(wanted), files=files, missing_secrets=[])
    assert (
        str(got)
        == """\
~ change   file     compose.yaml  (its line ends differ)
Plan: 0 to make, 1 to change, 0 to remove."""
    )
    assert got.services == ()


def test_each_step_carries_its_cause() -> None:
    wanted = bundle("scenario-6")
    got = plan(wanted, Observed(), files={}, missing_secrets=["x"], data="/d")
    assert all(step.cause for step in got.steps)
    mixed = Plan((Step("write", "file", "a", "b"), Step("start", "service", "a", "b")))
    assert mixed.services == mixed.steps[1:]


def test_the_diff_shows_changed_new_and_deleted_files() -> None:
    before, wanted = bundle("scenario-3b"), bundle("scenario-3b", "workers=3")
    files = files_of(before)
    del files["images/mlflow/proxied_s3.dist"]
    del files["images/mlflow/uv.lock"]
    files["entrypoints/old.sh"] = "#!/bin/sh\n"
    lines = diff(wanted, files).splitlines()
    assert [line for line in lines if line.startswith(("--- ", "+++ "))] == [
        "--- a/.env", "+++ b/.env",
        "--- a/compose.yaml", "+++ b/compose.yaml",
        "--- a/entrypoints/tracking.sh", "+++ b/entrypoints/tracking.sh",
        "--- /dev/null", "+++ b/images/mlflow/proxied_s3.dist",
        "--- a/entrypoints/old.sh", "+++ /dev/null",
    ]  # fmt: skip
    command = "exec python3 -P /stackctl/mlflow_server.py server --host 0.0.0.0 --port 5000"
    assert [line for line in lines if "workers" in line.lower()] == [
        "-STACKCTL_WORKERS=2",
        "+STACKCTL_WORKERS=3",
        f"-{command} --workers 2 \\",
        f"+{command} --workers 3 \\",
    ]
    assert lines[-2:] == ["@@ -1 +0,0 @@", "-#!/bin/sh"]


def test_a_setting_that_the_last_deploy_had_otherwise_is_named() -> None:
    found = plan(
        bundle("scenario-5"),
        Observed(),
        files={},
        missing_secrets=[],
        settings={"port": ("5000", "8080", "default"), "region": ("", "eu", "--set")},
    )
    assert [str(step) for step in found.steps[:2]] == [
        "~ change   setting  port  (5000 -> 8080, from default)",
        "~ change   setting  region  (empty -> eu, from --set)",
    ]
    assert not found.opens


@pytest.mark.parametrize(
    ("key", "old", "new", "opens"),
    [
        ("auth", "basic", "none", True),
        ("auth", "none", "basic", False),
        ("bind", "127.0.0.1", "10.0.0.5", True),
        ("bind", "::1", "fd00::2", True),
        ("bind", "127.0.0.1", "0.0.0.0", True),
        ("bind", "10.0.0.5", "0.0.0.0", True),
        ("bind", "fd00::2", "::", True),
        ("bind", "10.0.0.5", "10.0.0.6", False),
        ("bind", "0.0.0.0", "::", False),
        ("bind", "0.0.0.0", "10.0.0.5", False),
        ("bind", "10.0.0.5", "127.0.0.1", False),
        ("bind", "127.0.0.1", "127.0.0.2", False),
    ],
)
def test_what_lets_more_people_in_is_a_step_of_its_own(
    key: str, old: str, new: str, opens: bool
) -> None:
    changed = {key: (old, new, "--set")}
    found = plan(bundle("scenario-5"), Observed(), files={}, missing_secrets=[], settings=changed)
    step = found.steps[0]
    assert (step.action, step.kind, step.name) == ("open" if opens else "change", "setting", key)
    assert f"{old} -> {new}, from --set" in str(step)
    assert found.opens == ((step,) if opens else ())


def test_a_release_that_is_not_installed_yet_is_part_of_the_plan() -> None:
    wanted = processes("scenario-3b", "mlflow_version=2.22.2")
    got = plan(wanted, Observed(), files=files_of(wanted), missing_secrets=[])
    assert f"+ install  program  {wanted.services[-1].program}  (it is not installed)" in str(got)
    assert "program" not in str(plan(wanted, running(wanted), files={}, missing_secrets=[]))


def test_a_service_is_settled_when_it_is_there_and_does_what_it_is_for() -> None:
    wanted = bundle("scenario-5")
    names = [service.name for service in wanted.services]
    assert running(wanted).unsettled(names) == []
    assert Observed().unsettled(names) == names
    starting = with_service(running(wanted), "tracking", health="starting")
    assert starting.unsettled(names) == ["tracking"]


def test_the_steps_of_some_services_alone_are_those_of_the_plan() -> None:
    wanted = bundle("scenario-5")
    observed = with_service(running(wanted), "postgres", digest="other")
    observed = with_service(observed, "tracking", state="exited", health="", exit_code=1)
    every = service_steps(wanted.services, observed)
    assert [str(step) for step in every] == [
        "~ recreate service  postgres  (its definition or a script of it changed)",
        "+ start    service  tracking  (it is exited (1))",
    ]
    assert service_steps(wanted.services, observed, ["postgres"]) == every[:1]
