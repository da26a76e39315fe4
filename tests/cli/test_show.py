"""`stackctl show`, `env` and `logs` where no daemon answers."""

import json

import pytest

from stackctl.stack import Home, Manifest
from tests.bundles import effective
from tests.conftest import Call


@pytest.fixture
def two(home: Home) -> Home:
    """A home with two stacks."""
    for name, found in (("one", "scenario-5"), ("two", "scenario-3b")):
        settings = effective(found, f"name={name}").settings.model_dump(mode="json")
        with home.stack(name).locked():
            home.stack(name).save(Manifest(name, found, "docker", "owner", "deployed", settings))
    return home


def test_the_list_tells_the_last_known_state(stackctl: Call, two: Home) -> None:
    answer = stackctl("show", "--json")
    assert answer.code == 0
    assert json.loads(answer.out) == [
        {"name": "one", "scenario": "scenario-5", "state": "deployed?",
         "ui": "http://127.0.0.1:5000"},
        {"name": "two", "scenario": "scenario-3b", "state": "deployed?",
         "ui": "http://127.0.0.1:5003"},
    ]  # fmt: skip
    assert answer.err.startswith(
        "states on runtime docker are as last known: no Docker daemon answers"
    )
    assert len(answer.err.splitlines()) == 1
    assert [line.split()[0] for line in stackctl("show").out.splitlines()] == [
        "stack",
        "one",
        "two",
    ]


def test_no_stack_is_no_error(stackctl: Call, home: Home) -> None:
    answer = stackctl("show")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.startswith(f"no stack was deployed from {home.path}")
    assert json.loads(stackctl("show", "--json").out) == []


@pytest.mark.parametrize("words", [("show", "one"), ("logs", "--stack", "one"), ("remove", "one")])
def test_what_needs_a_daemon_says_so(stackctl: Call, two: Home, words: tuple[str, ...]) -> None:
    before = sorted(two.path.rglob("*"))
    answer = stackctl(*words)
    assert (answer.code, answer.out) == (3, "")
    assert answer.err.startswith("stackctl: no Docker daemon answers at ")
    assert len(answer.err.splitlines()) == 1
    assert sorted(two.path.rglob("*")) == before


@pytest.mark.parametrize("words", [("env",), ("logs",), ("remove",)])
@pytest.mark.usefixtures("two")
def test_of_several_stacks_one_must_be_named(stackctl: Call, words: tuple[str, ...]) -> None:
    answer = stackctl(*words)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "stackctl: there are 2 stacks: one, two; name one of them\n"


def test_env_of_a_removed_stack_says_so(stackctl: Call, two: Home) -> None:
    stack = two.stack("two")
    stack.save(stack.require_manifest().with_(status="removed"))
    answer = stackctl("env", "two")
    assert answer.out == "export MLFLOW_TRACKING_URI=http://127.0.0.1:5003\n"
    assert (
        answer.err == "stack 'two' is removed; start it: stackctl deploy scenario-3b --name two\n"
    )


def test_env_tells_what_it_left_out(stackctl: Call, home: Home) -> None:
    settings = effective("scenario-3b", "auth=basic").settings.model_dump(mode="json")
    stack = home.stack("scenario-3b")
    stack.save(Manifest("scenario-3b", "scenario-3b", "docker", "owner", "deployed", settings))
    path = stack.secrets.path / "admin_password"
    for format_ in ("json", "dotenv"):
        answer = stackctl("env", "--format", format_)
        assert answer.err == f"left out: MLFLOW_TRACKING_PASSWORD, whose value is in {path}\n"
        assert "PASSWORD" not in answer.out


def test_doctor_takes_one_of_the_two_runtimes_for_enough(stackctl: Call, home: Home) -> None:
    answer = stackctl("doctor", "--json")
    findings = {finding["subject"]: finding for finding in json.loads(answer.out)}
    assert answer.code == 0
    assert findings["Docker daemon"]["level"] == "warning"
    assert findings["embedded runtime"]["level"] == "ok"
    assert "mlflow 3." in findings["embedded runtime"]["told"]
    assert "Compose" not in findings


@pytest.mark.usefixtures("no_mlflow")
def test_doctor_without_any_runtime_ends_with_3_and_says_how_to_mend_it(
    stackctl: Call, home: Home
) -> None:
    answer = stackctl("doctor", "--json")
    assert answer.code == 3
    findings = {finding["subject"]: finding for finding in json.loads(answer.out)}
    assert findings["Docker daemon"]["level"] == "problem"
    assert findings["Docker daemon"]["mend"].startswith("start Docker, or set DOCKER_HOST")
    assert findings["embedded runtime"]["level"] == "problem"
    assert findings["embedded runtime"]["mend"] == "install it"
    assert findings["memory"]["told"].endswith(" available")
    assert findings["disk, home"]["told"].endswith(f"free at {home.path}")
    text = stackctl("doctor")
    assert text.code == 3
    assert text.out.startswith("PROBLEM   Docker daemon: no Docker daemon answers at ")
    assert "to mend it: start Docker" in text.out


def test_doctor_names_a_bad_secret_and_a_strangers_port(
    stackctl: Call, home: Home, free_port: int
) -> None:
    settings = effective("scenario-5", f"port={free_port}").settings.model_dump(mode="json")
    stack = home.stack("one")
    secrets = ("postgres_password",)
    stack.save(Manifest("one", "scenario-5", "docker", "owner", "deployed", settings,
                        secrets=secrets))  # fmt: skip
    stack.secrets.ensure(list(secrets))
    good = {f["subject"]: f for f in json.loads(stackctl("doctor", "--json").out)}
    assert good["secrets, one"] | good[f"port {free_port}, one"] == {
        "subject": f"port {free_port}, one", "level": "ok", "told": "free", "mend": "",
    }  # fmt: skip
    assert good["secrets, one"]["told"] == "1 good"
    (stack.secrets.path / "postgres_password").chmod(0o644)
    bad = {f["subject"]: f for f in json.loads(stackctl("doctor", "--json").out)}
    assert bad["secrets, one"]["level"] == "problem"
    assert bad["secrets, one"]["told"] == "postgres_password others can read it (mode 0644)"
