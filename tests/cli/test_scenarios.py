"""`stackctl scenarios`."""

import pytest

from stackctl import scenarios
from stackctl.drawing import diagram, picture
from stackctl.stack import Home
from tests.bundles import NAMES
from tests.conftest import Call
from tests.test_scenarios import GOOD, TABLE, own


def test_the_table_has_stores_writer_and_ports(stackctl: Call) -> None:
    answer = stackctl("scenarios")
    assert (answer.code, answer.err) == (0, "")
    rows = {line.split()[0]: line for line in answer.out.splitlines()[1:]}
    assert list(rows) == NAMES
    for name, row in rows.items():
        found = scenarios.load(name)
        assert found.backend_kind.label in row
        assert found.artifact_kind.label in row
        ports = ", ".join(map(str, TABLE[name][-1]))
        assert row.split("  ")[-1].strip() == ports
        assert found.writer in row.split()


@pytest.mark.parametrize("name", NAMES)
def test_one_is_shown_as_a_diagram(stackctl: Call, name: str) -> None:
    found = scenarios.load(name)
    assert stackctl("scenarios", name).out == f"{diagram.text(found)}\n"
    answer = stackctl("scenarios", name, "--format", "mermaid")
    assert answer.out == f"{diagram.mermaid(found)}\n"
    assert answer.code == 0
    answer = stackctl("scenarios", name, "--format", "svg")
    assert answer.out == f"{picture.svg(found)}\n"
    assert (answer.code, answer.err) == (0, "")


def test_own_scenarios_are_listed_and_override(stackctl: Call, home: Home) -> None:
    own(home.scenarios, GOOD)
    own(home.scenarios, GOOD.replace("Mine", "My five"), "scenario-5")
    lines = stackctl("scenarios").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == sorted([*NAMES, "mine"])
    assert next(line for line in lines if line.startswith("scenario-5 ")).endswith(" 5100")
    assert stackctl("scenarios", "scenario-5").out.startswith("scenario-5: My five\n")
    for name, title in (("mine", "Mine"), ("scenario-5", "My five")):
        drawn = stackctl("scenarios", name, "--format", "svg").out
        assert f">{title}</text>" in drawn
        assert ">port 5100</text>" in drawn


def test_a_malformed_own_scenario_is_one_line_with_file_line_and_key(
    stackctl: Call, home: Home
) -> None:
    own(home.scenarios, GOOD.replace('"sqlite"', '"oracle"'))
    for words in (("scenarios",), ("scenarios", "mine"), ("render", "mine"), ("deploy", "mine")):
        answer = stackctl(*words)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith(f"stackctl: {home.scenarios}/mine.toml:4: backend: ")
        assert len(answer.err.splitlines()) == 1
    assert stackctl("render", "scenario-5").code == 0
    assert [path.name for path in home.path.iterdir()] == ["scenarios"]


def test_a_bad_setting_in_a_scenario_file_names_the_scenario(stackctl: Call, home: Home) -> None:
    own(home.scenarios, GOOD.replace("5100", "70000"))
    answer = stackctl("config", "mine")
    assert answer.code == 2
    assert "setting port=70000 (from scenario mine)" in answer.err
