"""Remove: the data stay, unless all of it is to go; what stackctl did not make is spared."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from stackctl.deployment import Deployment
from stackctl.errors import MachineError
from stackctl.operations.remove import losses, remove, remove_with_data
from stackctl.stack import HALF_DONE
from tests.operations.machine import files
from tests.operations.stage import HOW, Stage
from tests.operations.test_deploy import nothing


def test_services_go_and_the_data_stay(stage: Stage) -> None:
    x = stage.deployed("scenario-5", "name=x", runs=2)
    secrets = files(x.secrets.path)
    remove(x, progress=stage.progress)
    assert stage.machine.story == ["sweep", "remove services", "status removed"]
    assert stage.runtime.observe(x.stack).services == {}
    assert files(x.secrets.path) == secrets
    assert stage.told == ["removed x; its data and secrets are kept"]
    stage.deploy("scenario-5", "name=x")
    assert len(stage.database("x").tables["runs"]) == 2


def test_all_of_it_goes_services_first(stage: Stage) -> None:
    x = stage.deployed("scenario-3b-mysql", "name=x", runs=2)
    remove_with_data(x, progress=stage.progress)
    assert stage.machine.done == [
        "remove services, losing mysql", "delete secrets", "forget",
    ]  # fmt: skip
    assert nothing(stage)
    assert stage.told == [
        "removed x with its data",
        f"kept its settings in {stage.home.settings_file}; to take them out, run: "
        "stackctl config unset x --all",
    ]


def test_what_will_be_lost_is_told(stage: Stage) -> None:
    x = stage.deployed("scenario-3b-mysql", "name=x")
    told = str(losses(x)).split("\n")
    assert told == [
        "  volume   mysql",
        f"  folder   {x.data}",
        "  secret   gateway_passphrase",
        "  secret   mysql_password",
        "  secret   mysql_root_password",
        "  secret   webhook_key",
    ]
    shutil.rmtree(x.data)
    assert losses(x).data is None


@pytest.mark.parametrize("how", ["theirs", "link"])
def test_a_folder_that_stackctl_did_not_make_is_kept(
    stage: Stage, tmp_path: Path, how: str
) -> None:
    folder = tmp_path / "theirs"
    if how == "theirs":
        folder.mkdir()
    x = stage.deployed("scenario-3b", "name=x", f"data={folder}", runs=1)
    if how == "link":
        folder.rename(tmp_path / "real")
        folder.symlink_to(tmp_path / "real")
    stage.database("x").sealed["gateway"] = {"openai": opener(x)}
    assert str(losses(x)).split("\n") == [
        f"  (kept: {folder}, which stackctl did not make)",
        "  (kept: gateway_passphrase, webhook_key, which open what MLflow encrypted)",
    ]
    remove_with_data(x, progress=stage.progress)
    assert (folder / "imagined").exists()
    assert stage.told[-2] == f"kept {folder}: stackctl did not make it"
    assert stage.told[-1].startswith(f"kept gateway_passphrase, webhook_key in {x.secrets.path}")
    assert not x.stack.folder.exists()
    # Whoever finds the folder finds what opens what is in it.
    again = stage.deployed("scenario-3b", "name=x", f"data={folder}")
    assert stage.database("x").sealed["gateway"] == {"openai": opener(again)}


def test_keys_go_with_the_data(stage: Stage) -> None:
    x = stage.deployed("scenario-3b", "name=x", runs=1)
    assert "  secret   gateway_passphrase" in str(losses(x))
    remove_with_data(x, progress=stage.progress)
    assert not x.secrets.path.exists()


def opener(x: Deployment) -> str:
    """What opens the API keys of a stack."""
    return x.secrets.read("gateway_passphrase").reveal()


@pytest.mark.parametrize("theirs", ["data/x", "data/x/below", "data", "data/z/../x", "link"])
def test_a_folder_that_another_stack_uses_is_not_deleted(stage: Stage, theirs: str) -> None:
    x = stage.deployed("scenario-3b", "name=x", runs=1)
    (stage.home.path / "link").symlink_to("data/x")
    (stage.home.path / "data" / "z").mkdir()
    if theirs == "data":
        # As no deploy allows it; an older stackctl did.
        stage.deployed("scenario-2", "name=y")
        stage.becomes("y", data=str(stage.home.path / "data"))
    else:
        stage.deployed("scenario-2", "name=y", f"data={theirs}")
    with stage.refuses(2, f"data folder {x.data} also holds the data of stack 'y'"):
        remove_with_data(x, progress=stage.progress)


def test_stacks_beside_it_are_no_obstacle(stage: Stage) -> None:
    x = stage.deployed("scenario-3b", "name=x")
    stage.deployed("scenario-2", "name=y")
    stage.deployed("scenario-5", "name=z")
    remove_with_data(x, progress=stage.progress)
    assert [path.name for path in (stage.home.path / "data").iterdir()] == ["y"]
    remove_with_data(stage.recorded("y"), progress=stage.progress)
    assert not (stage.home.path / "data").exists()


def test_secrets_that_are_not_the_users_alone_keep_everything(stage: Stage) -> None:
    x = stage.deployed("scenario-5", "name=x")
    x.secrets.path.chmod(0o755)
    with stage.refuses(2, "others can read it"):
        remove_with_data(x, progress=stage.progress)


def test_a_folder_that_cannot_be_deleted_is_named_and_the_next_call_goes_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = stage.deployed("scenario-3b", "name=x")

    def busy(path: Path, **_: Any) -> None:
        raise OSError(16, "Device or resource busy", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", busy)
        with pytest.raises(MachineError, match="could not be deleted: Device or resource busy"):
            remove_with_data(x, progress=stage.progress)
    remove_with_data(stage.recorded("x"), progress=stage.progress)
    assert nothing(stage)


@pytest.mark.parametrize("status", HALF_DONE)
def test_what_is_half_done_stays_so_without_its_services(stage: Stage, status: str) -> None:
    """Or nobody would know later that the data are of no use."""
    x = stage.deployed("scenario-5", "name=x")
    stage.becomes("x", status=status)
    remove(x, progress=stage.progress)
    assert stage.manifest("x").status == status
    assert stage.runtime.observe(x.stack).services == {}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("all_of_it", [True, False])
def test_one_that_ends_early_is_ended_by_the_next(stage: Stage, how: str, all_of_it: bool) -> None:
    """At whichever moment it is."""
    act = remove_with_data if all_of_it else remove
    x = stage.deployed("scenario-3b-mysql", "name=x", runs=1)
    for moment in stage.early_ends(how, lambda: act(x, progress=stage.progress)):
        if x.stack.manifest() is not None:
            act(stage.recorded("x"), progress=stage.progress)
        if all_of_it:
            assert nothing(stage), moment
        else:
            stage.deploy("scenario-3b-mysql", "name=x")
            assert len(stage.database("x").tables["runs"]) == 1, moment
