"""`stackctl.toml`: what it may say, and that what people wrote in it outlasts changes."""

from pathlib import Path

import pytest

from stackctl.errors import UserError
from stackctl.settings import SettingsFile

HERE = Path("/home/me/stackctl.toml")
WRITTEN = """\
# Ours.

[stacks.team]  # since May
scenario = "scenario-5"
port = 8080  # the firewall's
images.postgres = "postgres:18.6"
public_hosts = ["ml.example.org", "10.0.0.5"]

[stacks.mine]
scenario = "scenario-3b"

[stacks.mine.memory]
tracking = "2g"
"""


def file(text: str = WRITTEN) -> SettingsFile:
    return SettingsFile(HERE, text)


def test_it_says_scenario_and_settings_of_each_stack_in_its_order() -> None:
    found = file().tables
    assert list(found) == ["team", "mine"]
    assert found["team"].scenario == "scenario-5"
    assert found["team"].settings == {
        "port": 8080, "images.postgres": "postgres:18.6",
        "public_hosts": ["ml.example.org", "10.0.0.5"],
    }  # fmt: skip
    assert found["mine"].settings == {"memory.tracking": "2g"}
    assert found["mine"].where == "/home/me/stackctl.toml [stacks.mine]"
    assert file("").tables == file("# nothing\n").tables == {}


def test_what_is_put_stands_beside_what_people_wrote() -> None:
    changed = file()
    changed.put("team", "scenario-5", {"port": 9, "auth": "basic", "images.mysql": "mysql:9"})
    changed.put("mine", "scenario-3b", {"memory.ui": "1g"})
    changed.put("new", "scenario-2", {"browser_port": None, "memory.ui": "1g"})
    text = changed.text
    for line in ("# Ours.", "[stacks.team]  # since May", "port = 9  # the firewall's"):
        assert line in text
    assert file(text).tables == changed.tables
    assert changed.tables["team"].settings["images.mysql"] == "mysql:9"
    assert changed.tables["mine"].settings == {"memory.tracking": "2g", "memory.ui": "1g"}
    assert changed.tables["new"].settings == {"browser_port": "", "memory.ui": "1g"}
    assert list(changed.tables) == ["team", "mine", "new"]


def test_the_first_table_of_an_empty_file_is_as_people_write_it() -> None:
    begun = file("")
    begun.put("team", "scenario-5", {"port": 8080, "job_execution": True})
    assert begun.text == (
        '[stacks.team]\nscenario = "scenario-5"\nport = 8080\njob_execution = true\n'
    )


def test_what_is_taken_is_gone_and_nothing_else() -> None:
    changed = file()
    assert changed.take("team", "port")
    assert changed.take("mine", "memory.tracking")
    assert not changed.take("team", "port")
    assert not changed.take("team", "memory.tracking")
    assert not changed.take("nobody", "port")
    assert set(changed.tables["team"].settings) == {"images.postgres", "public_hosts"}
    assert changed.tables["mine"].settings == {}
    assert "memory" not in changed.text
    assert changed.take("team", "")
    assert list(file(changed.text).tables) == ["mine"]
    assert changed.take("mine", "")
    assert file(changed.text).tables == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[stacks.x]\nscenario = 'a'\nport = \n", ":3: "),
        ("[stacks.x]\nport = 1\nport = 2\n", "already exists"),
        ("x y", ":1: "),
        ("port = 8080\n", "there is no 'port' in it: tables are called [stacks.NAME]"),
        ("[team]\nscenario = 'a'\n", "there is no 'team' in it: tables are called [stacks.NAME]"),
        ("stacks = 3\n", "'stacks' is no table [stacks.NAME]"),
        ("stacks = {x = {scenario = 'a'}}\n", "'stacks' is no table [stacks.NAME]"),
        ("[[stacks]]\nscenario = 'a'\n", "'stacks' is no table [stacks.NAME]"),
        ("[stacks]\nx = 1\n", "[stacks.x] is no table"),
        ("[stacks.x]\nport = 1\n", "[stacks.x] does not say of which scenario it is"),
        ("[stacks.x]\nscenario = 5\n", "[stacks.x] does not say of which scenario it is"),
        ("[stacks.Team]\nscenario = 'a'\n", "'Team' is no name of a stack; a name has 1 to 40"),
        ('[stacks."../x"]\nscenario = "a"\n', "'../x' is no name of a stack"),
        ("[stacks.x]\nscenario = 'a'\nname = 'y'\n", "a stack is called as its table is"),
    ],
)
def test_what_it_may_not_say_is_named_with_its_place(text: str, said: str) -> None:
    with pytest.raises(UserError) as refusal:
        file(text)
    assert str(refusal.value).startswith(str(HERE))
    assert said in str(refusal.value)


@pytest.mark.parametrize("text", [
    WRITTEN.replace("\n", "\r\n"),
    "[stacks.a]\nscenario = 'a'",
])  # fmt: skip
def test_other_ways_to_write_it_can_be_changed_too(text: str) -> None:
    changed = file(text)
    names = list(changed.tables)
    changed.put("new", "scenario-2", {"port": 1})
    changed.put(names[0], changed.tables[names[0]].scenario, {"workers": 4})
    again = file(changed.text)
    assert list(again.tables) == [*names, "new"]
    assert again.tables[names[0]].settings["workers"] == 4


def test_what_a_change_would_lose_is_left_as_it_is() -> None:
    dotted = file("stacks.a.scenario = 'a'\nstacks.b.scenario = 'b'\n")
    assert list(dotted.tables) == ["a", "b"]
    with pytest.raises(UserError, match=r"only people can change; begin each stack with \[stacks"):
        dotted.put("new", "scenario-2", {"port": 1})
