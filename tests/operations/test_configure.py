"""`stackctl config set|unset|edit`: what they write, refuse and leave."""

import re

import pytest

from stackctl.errors import UserError
from stackctl.operations import configure
from tests.conftest import Call
from tests.operations.stage import Stage

TEAM = """\
# Ours.
[stacks.team]
scenario = "scenario-5"
port = 8080  # the firewall's
auth = "basic"
bind = "10.0.0.5"
"""


@pytest.fixture
def team(stage: Stage) -> Stage:
    stage.home.settings_file.write_text(TEAM)
    return stage


def test_a_setting_is_written_as_what_it_is(team: Stage) -> None:
    changes = configure.set_(team.home, "team", ["port=9", "workers=1", "public_hosts=A.org,b"])
    assert changes == {
        "port": ("8080", "9"), "workers": (None, "1"), "public_hosts": (None, "a.org,b"),
    }  # fmt: skip
    assert team.home.settings_file.read_text() == TEAM.replace("8080", "9") + (
        'workers = 1\npublic_hosts = ["a.org", "b"]\n'
    )


def test_a_stack_that_is_not_there_yet_begins_with_its_scenario(stage: Stage) -> None:
    with stage.refuses(2, "stack 'new' is neither in", "config set new scenario=scenario-3b"):
        configure.set_(stage.home, "new", ["port=9"])
    configure.set_(stage.home, "new", ["scenario=scenario-2", "port=9"])
    assert stage.home.settings_file.read_text() == (
        '[stacks.new]\nscenario = "scenario-2"\nport = 9\n'
    )


def test_a_stack_of_an_earlier_stackctl_begins_with_what_its_deploy_said(stage: Stage) -> None:
    stage.deployed("scenario-5", "name=x", "port=8080")
    stage.becomes("x", filed=False)
    stage.home.settings_file.unlink()
    configure.set_(stage.home, "x", ["workers=1"])
    assert stage.home.settings_file.read_text() == (
        '[stacks.x]\nscenario = "scenario-5"\nport = 8080\nworkers = 1\n'
    )


def test_what_is_taken_out_is_gone(team: Stage) -> None:
    assert configure.unset(team.home, "team", ["port"]) == {"port": ("8080", None)}
    text = TEAM.replace("port = 8080  # the firewall's\n", "")
    assert team.home.settings_file.read_text() == text
    assert configure.unset(team.home, "team", []) == {
        "auth": ("basic", None), "bind": ("10.0.0.5", None),
    }  # fmt: skip
    assert "team" not in team.home.settings_file.read_text()


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (["prot=1"], "no setting 'prot' (from the command line); did you mean 'port'"),
        (["port=0"], "setting port='0'"),
        (["port"], "'port' has no '='"),
        (["auth=none"], "would publish the stack beyond this machine without a login"),
        (["name=other"], "stack 'team' is called as its table is"),
        (["scenario=scenario-4"], "stack 'team' is of scenario-5, not scenario-4"),
        (["port=1", "workers=0"], "setting workers='0'"),
    ],
)
def test_what_a_deploy_would_refuse_is_refused(team: Stage, pairs: list[str], said: str) -> None:
    with team.refuses(2, said):
        configure.set_(team.home, "team", pairs)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["prt"], "no setting 'prt' (from"),
        (["workers"], "no setting 'workers' (from"),
        (["port", "auth"], "would publish the stack beyond this machine without a login"),
    ],
)
def test_what_cannot_be_taken_out_stays(team: Stage, keys: list[str], said: str) -> None:
    with team.refuses(2, said):
        configure.unset(team.home, "team", keys)


def test_a_deployed_stack_stays_of_its_scenario(stage: Stage) -> None:
    stage.deployed("scenario-5", "name=x")
    with stage.refuses(2, "stack 'x' is of scenario-5, not scenario-2"):
        configure.set_(stage.home, "x", ["scenario=scenario-2"])


# The editor.


def test_what_was_edited_is_taken(team: Stage) -> None:
    with configure.draft(team.home, None) as draft:
        assert draft.path.read_text() == TEAM
        draft.path.write_text(TEAM.replace("8080", "9090"))
        assert draft.accept()
    assert team.home.settings_file.read_text() == TEAM.replace("8080", "9090")
    assert not draft.path.exists()


def test_what_was_not_changed_is_not_written(team: Stage) -> None:
    before = team.now()
    with configure.draft(team.home, None) as draft:
        assert not draft.accept()
    assert team.now() == before


def test_an_empty_file_begins_with_what_it_is_for(stage: Stage) -> None:
    with configure.draft(stage.home, None) as draft:
        assert draft.path.read_text().startswith("# The stacks of this folder")


def test_a_stack_that_is_named_has_a_table(stage: Stage) -> None:
    stage.deployed("scenario-5", "name=x", "port=8080")
    stage.becomes("x", filed=False)
    stage.home.settings_file.unlink()
    with configure.draft(stage.home, "x") as draft:
        assert "port = 8080" in draft.path.read_text()
    with pytest.raises(UserError, match="neither"), configure.draft(stage.home, "nobody"):
        pass


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEAM.replace("8080", "0"), "setting port=0"),
        (TEAM.replace("port", "prot"), "no setting 'prot'"),
        (TEAM.replace("scenario-5", "scenario-9"), "no scenario 'scenario-9'"),
        (TEAM + "x y\n", "stackctl.toml:7: "),
    ],
)
def test_what_cannot_be_used_is_not_taken(team: Stage, text: str, said: str) -> None:
    before = team.now()
    with configure.draft(team.home, None) as draft:
        draft.path.write_text(text)
        with pytest.raises(UserError, match=re.escape(said)):
            draft.accept()
    assert team.now() == before


def test_what_another_command_wrote_meanwhile_stays(team: Stage) -> None:
    with configure.draft(team.home, None) as draft:
        configure.set_(team.home, "team", ["workers=1"])
        draft.path.write_text(TEAM.replace("8080", "9090"))
        with pytest.raises(UserError, match="was changed meanwhile"):
            draft.accept()
    assert team.home.settings_file.read_text() == TEAM + "workers = 1\n"


# The commands.


def test_the_commands_tell_what_changes(
    team: Stage, stackctl: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = stackctl("config", "set", "team", "port=9090", "workers=1")
    assert answer.code == 0
    assert answer.out == (
        "port: 8080 -> 9090\nworkers: not said -> 1\nthe next deploy applies it: "
        "stackctl plan team\n"
    )
    assert stackctl("config", "unset", "team", "workers").out.startswith("workers: 1 -> not said")
    assert "name some, or all of them with --all" in stackctl("config", "unset", "team").err
    monkeypatch.setenv("EDITOR", "sed -i s/9090/8080/")
    assert stackctl("config", "edit").out == "changed; run: stackctl plan\n"
    assert team.home.settings_file.read_text() == TEAM
    monkeypatch.setenv("EDITOR", "sed -i s/8080/none/")
    answer = stackctl("config", "edit")
    assert (answer.code, answer.out) == (2, "")
    assert "stackctl.toml:4: " in answer.err
    monkeypatch.setenv("EDITOR", "no-such-editor --wait")
    assert "the editor 'no-such-editor' failed" in stackctl("config", "edit").err
    assert team.home.settings_file.read_text() == TEAM


def test_what_applies_is_told_by_the_name_of_a_stack(team: Stage, stackctl: Call) -> None:
    answer = stackctl("config", "team", "--json")
    assert f'"source": "{team.home.settings_file} [stacks.team]"' in answer.out


def test_every_stack_of_the_file_is_planned_and_deployed_in_its_order(
    stage: Stage, stackctl: Call
) -> None:
    stage.home.settings_file.write_text(
        '[stacks.b]\nscenario = "scenario-2"\n[stacks.a]\nscenario = "scenario-3b"\nport = 8080\n'
    )
    plan = stackctl("plan", "--detailed-exitcode")
    assert plan.code == 2
    assert plan.out.index("b:\n") < plan.out.index("a:\n")
    assert stackctl("deploy").code == 0
    assert [s.name for s in stage.home.stacks()] == ["a", "b"]
    assert stage.manifest("a").settings["port"] == 8080
    of_b, of_a = stage.manifest("b").deployed_at, stage.manifest("a").deployed_at
    assert of_b <= of_a
    again = stackctl("plan", "--json", "--detailed-exitcode")
    assert again.code == 0
    assert re.findall(r'"stack": "(\w)"', again.out) == ["b", "a"]
    assert "port=1 is for one stack, and none is named" in stackctl("deploy", "--port", "1").err


def test_a_stack_is_opened_when_the_user_says_so(stage: Stage, stackctl: Call) -> None:
    assert stackctl("deploy", "scenario-5", "--set", "auth=basic").code == 0
    refused = stackctl("deploy", "scenario-5", "--set", "auth=none")
    assert (refused.code, refused.out) == (2, "")
    assert "auth basic -> none, from --set: nobody has to log in any more" in refused.err
    assert stackctl("deploy", "scenario-5", "--set", "auth=none", "--yes").code == 0
    assert stage.manifest("scenario-5").settings["auth"] == "none"


def test_a_value_of_a_table_is_taken_away_by_an_empty_one_and_by_its_whole_name(
    team: Stage,
) -> None:
    words = ["server.env.A=1", "server.env.B=2", "server.args.x-frame-options=DENY"]
    configure.set_(team.home, "team", words)
    assert configure.set_(team.home, "team", ["server.env.A="]) == {"server.env.A": ("1", "")}
    for table in ("server", "server.env", "server.", "images"):
        with team.refuses(2, f"there is no setting {table!r}"):
            configure.unset(team.home, "team", [table])
    configure.unset(team.home, "team", ["server.env.A", "server.env.B"])
    text = team.home.settings_file.read_text()
    assert "env" not in text
    assert "DENY" in text
