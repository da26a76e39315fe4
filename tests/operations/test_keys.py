"""What MLflow encrypts can be read after everything, and what cannot is told before it begins."""

import shutil
from functools import partial

import pytest

from stackctl.deployment import Deployment
from stackctl.kinds import KEYS
from stackctl.operations.origins import StackOrigin
from tests.operations import test_promote, test_restore
from tests.operations.stage import HOW, Stage
from tests.operations.test_drill import rehearse

# What everybody knows: MLflow's passphrase where it has no other.
DEFAULT = ""
LOST = "no key opens the 1 secret of a webhook: 'hook'"


def sealed(x: Deployment) -> dict[str, dict[str, str]]:
    """A webhook's secret and an API key, encrypted with a stack's own keys."""
    opens = {key.name: x.secrets.read(key.secret).reveal() for key in KEYS}
    return {"webhook": {"hook": opens["webhook"]}, "gateway": {"openai": opens["gateway"]}}


@pytest.fixture
def old(stage: Stage) -> Deployment:
    """A stack of a stackctl that gave no keys."""
    x = stage.deployed("scenario-5", "name=x")
    for key in KEYS:
        x.secrets.forget(key.secret)
    names = {key.secret for key in KEYS}
    others = tuple(name for name in stage.manifest("x").secrets if name not in names)
    stage.database("x").sealed = {"webhook": {"hook": "forgotten"}, "gateway": {"openai": DEFAULT}}
    stage.becomes("x", keyed=False, secrets=others)
    return stage.recorded("x")


def taken_over(stage: Stage) -> bool:
    """The API key opens with the stack's own passphrase, and the webhook has no secret."""
    want = sealed(stage.recorded("x"))["gateway"]
    return (
        stage.database("x").sealed == {"webhook": {}, "gateway": want}
        and stage.manifest("x").keyed
        and not stage.deploy("scenario-5", "name=x")
    )


def test_an_old_stack_is_taken_over_with_no_server_there(stage: Stage, old: Deployment) -> None:
    assert stage.deploy("scenario-5", "name=x")
    story = stage.machine.story
    assert story.index("stop tracking") < story.index("keys-rewrap")
    assert story.index("keys-rewrap") < story.index("start tracking")
    assert not {"stop postgres", "stop objects"} & set(story)
    assert any(line.startswith(LOST) for line in stage.told)
    assert taken_over(stage)


@pytest.mark.parametrize("how", HOW)
def test_one_that_ends_early_loses_nothing(stage: Stage, old: Deployment, how: str) -> None:
    act = partial(stage.deploy, "scenario-5", "name=x")
    for moment in stage.early_ends(how, act, first="stop tracking"):
        if how != "is killed" and "tracking" in str(stage.machine.world.services):
            # What runs again has no keys of its own.
            opener = stage.database("x").sealed["gateway"]["openai"]
            assert opener == DEFAULT or stage.manifest("x").keyed, moment
        stage.deploy("scenario-5", "name=x")
        assert taken_over(stage), moment


@pytest.mark.parametrize("how", ["fails", "is interrupted"])
def test_keys_of_a_folder_that_was_there_are_not_forgotten(stage: Stage, how: str) -> None:
    """A new stack on data of MLflow alone, which is taken back."""
    x = stage.deployed("scenario-3b", "name=x", "data=here")
    stage.database("x").sealed = {"gateway": {"openai": DEFAULT}}
    stage.runtime.remove(x.stack)
    shutil.rmtree(x.stack.folder)
    shutil.rmtree(x.secrets.path)
    stage.begin()
    database = next(iter(stage.machine.world.databases))
    act = partial(stage.deploy, "scenario-3b", "name=x", "data=here")
    for moment in stage.early_ends(how, act, first="keys-rewrap"):
        opener = stage.machine.world.databases[database].sealed["gateway"]["openai"]
        kept = x.secrets.path / "gateway_passphrase"
        assert opener == DEFAULT or opener == kept.read_text(), moment


def test_a_key_that_is_gone_is_made_anew_and_what_it_opened_is_named(stage: Stage) -> None:
    x = stage.deployed("scenario-5", "name=x")
    stage.database("x").sealed = sealed(x)
    x.secrets.forget("gateway_passphrase")
    assert stage.deploy("scenario-5", "name=x")
    assert any("no key opens the 1 API key of the gateway: 'openai'" in t for t in stage.told)
    assert stage.database("x").sealed["webhook"] == sealed(x)["webhook"]


def test_nothing_comes_to_a_stack_without_keys(stage: Stage, old: Deployment) -> None:
    y = stage.deployed("scenario-5", "name=y", "port=5999")
    archive = stage.archived(y)
    with stage.refuses(2, "without keys for what MLflow encrypts", "stackctl deploy scenario-5"):
        test_restore.into(stage, archive, "x")
    with stage.refuses(2, "without keys for what MLflow encrypts"):
        test_promote.into(stage, StackOrigin(y), "scenario-5", "name=x")


def test_a_promotion_gives_its_target_s_keys(stage: Stage) -> None:
    x = stage.deployed("scenario-3b", "name=x", runs=1)
    before = stage.database("x").sealed = sealed(x)
    test_promote.into(stage, StackOrigin(x), "scenario-5", "name=y")
    assert stage.database("y").sealed == sealed(stage.recorded("y"))
    assert stage.database("x").sealed == before


def test_a_backup_says_what_it_would_need(stage: Stage) -> None:
    x = stage.deployed("scenario-5", "name=x")
    stage.database("x").sealed = sealed(x)
    stage.archived(x)
    archive = stage.archived(x, "b.tar")
    test_restore.into(stage, archive, "y", "port=5999")
    # In the same home the keys are there.
    assert not [line for line in stage.told if "nobody will be able" in line]
    assert stage.database("y").sealed == sealed(stage.recorded("y"))


@pytest.mark.usefixtures("quick_seal")
@pytest.mark.parametrize("passphrase", ["", "hush"])
def test_another_home_needs_the_keys_and_is_told_before_it_begins(
    stage: Stage, passphrase: str
) -> None:
    x = stage.deployed("scenario-5", "name=x")
    stage.database("x").sealed = sealed(x)
    archive = stage.archived(x, passphrase="hush")
    x.secrets.path.rename(stage.home.path / "away")
    test_restore.into(stage, archive, "y", "port=5999", passphrase=passphrase)
    told = [line for line in stage.told if "nobody will be able to read 1 " in line]
    found, want = stage.database("y").sealed, sealed(stage.recorded("y"))
    if passphrase:
        assert (told, found) == ([], want)
        return
    assert len(told) == 2
    assert stage.told.index(told[0]) == 0
    # An API key waits for its passphrase; a webhook without its secret stands in nobody's way.
    assert found["webhook"] == {}
    assert found["gateway"]["openai"] not in (want["gateway"]["openai"], DEFAULT)
    assert any(line.startswith(LOST) for line in stage.told)


def test_a_drill_reads_what_the_stack_reads(stage: Stage) -> None:
    x = stage.deployed("scenario-5", "name=x", runs=1)
    stage.database("x").sealed = sealed(x)
    rehearse(stage, stage.archived(x))
    assert not [line for line in stage.told if "no key opens" in line]
