"""`stackctl config`."""

import json

import pytest

from stackctl.settings import Settings
from stackctl.stack import Home
from tests.conftest import Call


def as_json(answer_out: str) -> dict[str, dict[str, str]]:
    return dict(json.loads(answer_out))


def test_every_setting_is_shown_with_where_it_came_from(
    stackctl: Call, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACKCTL_REGION", "eu-west-1")
    home.dotenv.write_text("STACKCTL_BUCKET=mine\nSTACKCTL_PORT=1\n")
    words = ["scenario-6", "--set", "workers=3", "--port", "5100", "--name", "one",
             "--set", "images.mysql=mysql:9"]  # fmt: skip
    answer = stackctl("config", *words, "--json")
    assert (answer.code, answer.err) == (0, "")
    shown = as_json(answer.out)
    tables = {"memory", "server"}
    assert {key.partition(".")[0] for key in shown} == set(Settings.model_fields) - tables
    assert {
        key: (v["value"], v["source"]) for key, v in shown.items() if v["source"] != "default"
    } == {
        "name": ("one", "--set"),
        "port": ("5100", "--set"),
        "artifacts_port": ("5016", "scenario scenario-6"),
        "bucket": ("mine", str(home.dotenv)),
        "region": ("eu-west-1", "environment STACKCTL_REGION"),
        "workers": ("3", "--set"),
        "images.mysql": ("mysql:9", "--set"),
    }
    table = stackctl("config", *words).out
    for key, entry in shown.items():
        (line,) = [line for line in table.splitlines() if line.split()[0] == key]
        assert entry["value"] in line
        assert line.rstrip().endswith(entry["source"])


def test_a_long_value_is_whole_where_no_terminal_is(stackctl: Call) -> None:
    data = "/srv/" + "x" * 300 + "/[bold]end"
    assert f" {data} " in stackctl("config", "--set", f"data={data}").out
