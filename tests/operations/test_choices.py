"""What was chosen about a stack stays chosen: what a deploy writes, and what the next reads."""

import os
from pathlib import Path

import pytest

from stackctl import scenarios, settings
from stackctl.archive import Archive
from stackctl.deployment import Deployment
from stackctl.errors import MachineError, UserError, WouldOpen
from stackctl.operations import restore
from stackctl.operations.deploy import deploy, look
from stackctl.operations.drill import drill
from stackctl.operations.origins import named
from stackctl.operations.promote import destination, promote
from stackctl.operations.remove import remove_with_data
from stackctl.operations.upgrade import Options as UpgradeOptions
from stackctl.operations.upgrade import releases, upgrade
from stackctl.stack import choices
from tests.operations.stage import METER, Stage


def wanted(stage: Stage, word: str, *flags: str) -> Deployment:
    """A stack as the command line would have it."""
    scenario, given = choices.meant(stage.home, word, flags)
    found = scenarios.load(scenario, stage.home.scenarios)
    effective = choices.effective(stage.home, found, given)
    return Deployment.chosen(stage.home.stack(effective.settings.name), found, effective)


def deployed(stage: Stage, word: str, *flags: str, save: bool = True, opens: bool = False) -> None:
    deploy(wanted(stage, word, *flags), progress=stage.progress, timeout=1, save=save, opens=opens)


def kept(stage: Stage, name: str) -> dict[str, object]:
    """What the file says of a stack."""
    return dict(choices.read(stage.home).tables[name].settings)


@pytest.fixture
def earlier(stage: Stage) -> Stage:
    """A stack of a stackctl that wrote nothing down, with a login at port 8080."""
    stage.deployed("scenario-5", "name=x", "auth=basic", "port=8080", "memory.tracking=2g")
    stage.becomes("x", filed=False)
    stage.home.settings_file.unlink()
    return stage


# What stays.


def test_what_flags_said_is_kept_and_told(stage: Stage) -> None:
    deployed(stage, "scenario-5", "name=x", "auth=basic", "port=8080", "public_hosts=a.org,b.org")
    assert stage.home.settings_file.read_text() == (
        '[stacks.x]\nscenario = "scenario-5"\nauth = "basic"\nport = 8080\n'
        'public_hosts = ["a.org", "b.org"]\n'
    )
    assert stage.told[-1] == (
        f"kept in {stage.home.settings_file}: scenario-5 as [stacks.x], auth=basic, port=8080, "
        "public_hosts=a.org,b.org"
    )
    stage.begin()
    deployed(stage, "scenario-5", "name=x")
    assert stage.manifest("x").settings["auth"] == "basic"
    assert stage.manifest("x").settings["port"] == 8080
    assert "prove" in stage.machine.story
    assert not any("kept" in line for line in stage.told)


def test_a_later_flag_applies_and_stays_too(stage: Stage) -> None:
    deployed(stage, "scenario-5", "name=x", "port=8080")
    deployed(stage, "x", "port=9090", "workers=1")
    assert kept(stage, "x") == {"port": 9090, "workers": 1}
    assert stage.told[-1].endswith("stackctl.toml: port=9090, workers=1")
    # Also where it is the scenario's own.
    deployed(stage, "x", "workers=2")
    assert kept(stage, "x") == {"port": 9090, "workers": 2}


def test_a_setting_of_one_command_alone(stage: Stage) -> None:
    deployed(stage, "scenario-5", "name=x", "port=8080")
    deployed(stage, "x", "port=9090", save=False)
    assert stage.manifest("x").settings["port"] == 9090
    assert kept(stage, "x") == {"port": 8080}
    deployed(stage, "x")
    assert stage.manifest("x").settings["port"] == 8080
    deployed(stage, "scenario-2", "port=7070", save=False)
    assert "scenario-2" not in choices.read(stage.home).tables
    deployed(stage, "scenario-2")
    assert stage.manifest("scenario-2").settings["port"] != 7070


def test_what_other_layers_say_is_not_kept(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.home.dotenv.write_text("STACKCTL_PORT=8080\nSTACKCTL_WORKERS=3\n")
    monkeypatch.setenv("STACKCTL_REGION", "eu")
    deployed(stage, "scenario-5", "name=x", "workers=1")
    assert kept(stage, "x") == {"workers": 1}
    assert stage.manifest("x").settings["port"] == 8080
    assert stage.manifest("x").settings["region"] == "eu"


def test_the_file_stands_above_dotenv_and_below_the_environment(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.home.dotenv.write_text("STACKCTL_PORT=1111\nSTACKCTL_WORKERS=3\n")
    stage.home.settings_file.write_text('[stacks.x]\nscenario = "scenario-5"\nport = 2222\n'
                                        'region = "us"\n')  # fmt: skip
    monkeypatch.setenv("STACKCTL_REGION", "eu")
    found = wanted(stage, "x")
    assert (found.settings.port, found.settings.workers, found.settings.region) == (2222, 3, "eu")
    assert found.effective.sources["port"] == f"{stage.home.settings_file} [stacks.x]"
    assert wanted(stage, "x", "region=ap").settings.region == "ap"


def test_a_deploy_that_fails_keeps_nothing(stage: Stage) -> None:
    deployed(stage, "scenario-5", "name=x", "port=8080")
    stage.machine.fails("prove", MachineError("no"))
    with pytest.raises(MachineError):
        deployed(stage, "x", "port=9090")
    assert kept(stage, "x") == {"port": 8080}
    stage.machine.fails("prove", MachineError("no"))
    with pytest.raises(MachineError):
        deployed(stage, "scenario-2")
    assert "scenario-2" not in choices.read(stage.home).tables


def test_a_restored_stack_keeps_what_its_archive_says(stage: Stage) -> None:
    path = stage.archived(stage.deployed("scenario-5", "name=x", "workers=1", "port=8080"))
    with Archive(path) as archive:
        drill(archive, stage.home, "auto", timeout=1, meter=METER, progress=stage.progress)
        assert list(choices.read(stage.home).tables) == ["x"]
        target = restore.destination(archive, stage.home, "y", ["port=9090"])
        options = restore.Options(timeout=1)
        restore.restore(archive, target, options, meter=METER, progress=stage.progress)
    assert kept(stage, "y") == {"port": 9090, "workers": 1}


def test_a_promoted_stack_keeps_what_it_was_made_with(stage: Stage) -> None:
    stage.deployed("scenario-2", "name=x", runs=1)
    origin = named(stage.home, "x", None, None, None)
    target = destination(origin, stage.home, "scenario-5", ["name=y", "auth=basic"])
    promote(origin, target, timeout=1, meter=METER, progress=stage.progress)
    assert kept(stage, "y") == {"auth": "basic"}


# A stack of an earlier stackctl.


def test_what_was_chosen_then_stays(earlier: Stage) -> None:
    found = wanted(earlier, "scenario-5", "name=x")
    assert (found.settings.auth, found.settings.port) == ("basic", 8080)
    assert found.effective.sources["port"] == "the last deploy"
    assert not look(found).plan
    deployed(earlier, "x", "workers=1")
    assert kept(earlier, "x") == {
        "auth": "basic", "port": 8080, "memory.tracking": "2g", "workers": 1,
    }  # fmt: skip


def test_a_flag_that_is_for_once_does_not_hide_it(earlier: Stage) -> None:
    deployed(earlier, "x", "port=9090", save=False)
    assert kept(earlier, "x") == {"auth": "basic", "port": 8080, "memory.tracking": "2g"}


def test_what_was_taken_out_by_hand_stays_out(stage: Stage) -> None:
    deployed(stage, "scenario-5", "name=x", "port=8080")
    stage.home.settings_file.unlink()
    assert wanted(stage, "x").settings.port != 8080


def test_the_release_that_everybody_had_then_was_not_chosen(earlier: Stage) -> None:
    found = scenarios.load("scenario-5", earlier.home.scenarios)
    values = {**earlier.manifest("x").settings, "mlflow_version": "3.17.2"}
    assert "mlflow_version" not in choices.chosen(found, values)
    assert (
        choices.chosen(found, {**values, "mlflow_version": "2.22.2"})["mlflow_version"] == "2.22.2"
    )


# What is refused.


def test_a_word_that_is_a_stack_means_its_scenario(stage: Stage) -> None:
    deployed(stage, "scenario-5", "name=x")
    assert choices.meant(stage.home, "x", ["port=1"]) == ("scenario-5", ["name=x", "port=1"])
    with pytest.raises(UserError, match="x is a stack, and name=y another one"):
        choices.meant(stage.home, "x", ["name=y"])
    assert choices.meant(stage.home, "nobody", []) == ("nobody", [])
    # Its own table does not hinder another stack of that scenario.
    deployed(stage, "scenario-2", "port=7070")
    assert wanted(stage, "scenario-2", "name=z").settings.name == "z"


def test_the_file_may_not_say_that_the_stack_is_of_another_scenario(stage: Stage) -> None:
    stage.home.settings_file.write_text('[stacks.x]\nscenario = "scenario-5"\n')
    with stage.refuses(2, "[stacks.x] says that the stack is of scenario-5, not scenario-2"):
        wanted(stage, "scenario-2", "name=x")


def test_a_setting_that_is_wrong_is_named_with_its_table(stage: Stage) -> None:
    stage.home.settings_file.write_text('[stacks.x]\nscenario = "scenario-5"\nprot = 1\n')
    with stage.refuses(2, "no setting 'prot'", "[stacks.x]", "did you mean 'port'"):
        wanted(stage, "x")
    stage.home.settings_file.write_text('[stacks.x]\nscenario = "scenario-5"\nport = 0\n')
    with stage.refuses(2, "setting port=0", "[stacks.x]"):
        wanted(stage, "x")


PLAIN = "plain_http=yes-on-a-trusted-network"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (["auth=basic"], ["auth=none"], "auth basic -> none, from --set"),
        (["auth=basic", PLAIN], ["auth=basic", "bind=0.0.0.0", PLAIN], "bind 127.0.0.1 -> 0.0.0.0"),
    ],
)
def test_what_opens_a_stack_wants_to_be_said_twice(
    stage: Stage, before: list[str], after: list[str], said: str
) -> None:
    deployed(stage, "scenario-5", "name=x", *before)
    stage.begin()
    with stage.refuses(2, said, "add --yes; nothing was changed") as refusal:
        deployed(stage, "x", *after)
    assert isinstance(refusal.value, WouldOpen)
    assert "! open" in str(look(wanted(stage, "x", *after)).plan)
    deployed(stage, "x", *after, opens=True)
    assert kept(stage, "x")["auth"] == after[0].removeprefix("auth=")


def test_a_new_stack_is_opened_to_nobody_who_was_not_there(stage: Stage) -> None:
    deployed(stage, "scenario-5", "name=x", "auth=basic", "bind=0.0.0.0", PLAIN)
    assert stage.manifest("x").settings["bind"] == "0.0.0.0"


def test_a_file_that_cannot_be_written_is_found_before_anything_is_done(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.home.settings_file.write_text("")
    monkeypatch.setattr(os, "access", lambda path, _, **_ids: path != stage.home.settings_file)
    with stage.refuses(2, "cannot be written", "--no-save"):
        deployed(stage, "scenario-5", "name=x")
    deployed(stage, "scenario-5", "name=x", save=False)


def test_a_file_that_is_malformed_is_found_before_anything_is_done(stage: Stage) -> None:
    small = stage.deployed("scenario-3b", "name=x", "mlflow_version=2.22.2", runs=1)
    stage.home.settings_file.write_text("x y")
    before, after = releases(small, "3.17.2", None)
    options = UpgradeOptions(stage.home.path / "b.tar", 1)
    with stage.refuses(2, "stackctl.toml:1: "):
        upgrade(before, after, options, meter=METER, progress=stage.progress)
    with stage.refuses(2, "stackctl.toml:1: "):
        wanted(stage, "scenario-3b", "name=x")
    remove_with_data(small, progress=stage.progress)
    assert stage.home.settings_file.read_text() == "x y"


def test_an_upgrade_keeps_the_release_that_it_leads_to(stage: Stage) -> None:
    small = stage.deployed("scenario-3b", "name=x", "mlflow_version=2.22.2", runs=1)
    assert kept(stage, "x") == {"mlflow_version": "2.22.2"}
    before, after = releases(small, "3.17.2", None)
    options = UpgradeOptions(stage.home.path.with_name("b.tar"), 1)
    upgrade(before, after, options, meter=METER, progress=stage.progress)
    assert kept(stage, "x") == {"mlflow_version": "3.17.2"}


def test_a_link_to_the_file_stays_one(stage: Stage, tmp_path: Path) -> None:
    real = tmp_path / "repo" / "ml.toml"
    real.parent.mkdir()
    real.write_text("# in git\n")
    real.chmod(0o640)
    stage.home.settings_file.symlink_to(real)
    deployed(stage, "scenario-5", "name=x", "port=8080")
    assert stage.home.settings_file.is_symlink()
    assert real.read_text().startswith("# in git\n")
    assert real.stat().st_mode & 0o777 == 0o640
    assert settings.SettingsFile(real, real.read_text()).tables["x"].settings == {"port": 8080}
