"""A new service is one entry in the table and its templates, on every runtime."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from stackctl import resources
from stackctl.cli import main
from stackctl.services import SERVICES, ServiceKind
from tests.contract.driving import ONE_WORKER, User, words
from tests.contract.machine import Machine

TOY = ServiceKind("toy", "a toy", port=8000, keeps_data=True, listeners=("toy",))
SCENARIO = """\
title = "a local server with a toy"
choose = "to see that a service is one entry"
services = ["tracking", "toy"]
backend = "sqlite"
artifacts = "folder"
writer = "client"

[settings]
port = 5003
"""
COMPOSE = """\
{% import "compose/_macros.yaml.j2" as m with context %}
image: {{ image("tracking") | yaml }}
build: {context: ./images/mlflow}
user: "0:0"
entrypoint: [bash, -c, "cd /toy && touch there && exec python3 -m http.server 8000"]
volumes:
  - {type: volume, source: {{ volume("toy") }}, target: /toy}
{{ m.joined(false) -}}
healthcheck:
  test: [CMD, bash, -c, "exec 3<>/dev/tcp/127.0.0.1/8000"]
{{ m.health(interval="1s") -}}
{{ m.base(name, "128m", caps=("DAC_OVERRIDE",)) -}}
"""
PROCESSES = """\
{% import "processes/_macros.toml.j2" as m with context %}
{{ m.common("mlflow") -}}
command = ["bash", "-c", 'cd "$TOY" && touch there && exec python3 -m http.server --bind 127.0.0.1 $PORT']
volume = {{ volume("toy") | toml }}

[ready]
url = {{ (inner("toy") ~ "/there") | toml }}

{{ m.environment({"TOY": volume("toy"), "PORT": inner("toy").port | string}) -}}
"""  # noqa: E501


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One entry, two templates, and a scenario file that names it."""
    shipped = Path(str(resources.folder("templates")))
    templates = tmp_path / "templates"
    shutil.copytree(shipped, templates)
    (templates / "compose" / "toy.yaml.j2").write_text(COMPOSE)
    (templates / "processes" / "toy.toml.j2").write_text(PROCESSES)
    found = resources.folder
    monkeypatch.setattr(
        resources, "folder", lambda name: templates if name == "templates" else found(name)
    )
    monkeypatch.setitem(SERVICES, "toy", TOY)


class Toy:
    """What holds of it as of every other service."""

    runtime: ClassVar[str]

    @pytest.fixture
    def stackctl(
        self,
        machine: Machine,
        user: User,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> Iterator[Callable[..., str]]:
        """Call stackctl here, where the toy is known; what must end well tells its output."""
        for key, value in user.environment.items():
            monkeypatch.setenv(key, value)
        (user.home / "scenarios").mkdir()
        (user.home / "scenarios" / "scenario-toy.toml").write_text(SCENARIO)

        def call(*said: str) -> str:
            monkeypatch.setattr(sys, "argv", ["stackctl", *said])
            capfd.readouterr()
            with pytest.raises(SystemExit) as end:
                main()
            out, err = capfd.readouterr()
            assert end.value.code == 0, err
            return out

        yield call
        shutil.rmtree(user.home / "scenarios")

    @pytest.mark.usefixtures("toy")
    def test_it_is_deployed_seen_kept_and_removed(
        self, machine: Machine, user: User, stackctl: Callable[..., str], name: str
    ) -> None:
        deploy = [word.replace("scenario-3b", "scenario-toy")
                  for word in words("scenario-3b", name, *ONE_WORKER)]  # fmt: skip
        stackctl(*deploy)
        seen = json.loads(stackctl("show", name, "--json"))
        assert seen["state"] == "running"
        assert {service["name"] for service in seen["services"]} == {"tracking", "toy"}
        assert "toy" in seen["volumes"]
        before = machine.lives(user.stack(name))
        assert json.loads(stackctl("plan", *deploy[1:], "--json"))["steps"] == []
        assert machine.lives(user.stack(name)) == before
        stackctl("remove", name)
        assert machine.running(user.stack(name)) == []
        stackctl(*deploy)
        assert machine.lives(user.stack(name)).keys() == before.keys()
        stackctl("remove", name, "--volumes", "--confirm", name)
        assert machine.leftovers(user.stack(name)) == []


class TestDocker(Toy):
    runtime = "docker"


class TestEmbedded(Toy):
    runtime = "embedded"
