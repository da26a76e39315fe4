"""Rotate: a new value is on the disk before it is told, and the old one until it is void."""

from functools import partial

import pytest

from stackctl.deployment import Deployment
from stackctl.errors import MachineError, NotReady, UnknownName
from stackctl.operations.rotate import Rotated, rotate
from stackctl.secrets.rotation import Handover, open_names
from stackctl.stores.credentials import DatabasePassword, EncryptionKey
from tests.operations.stage import Stage

Values = dict[str, str]
KEYS = ("webhook_key", "gateway_passphrase")
EVERY = ("postgres_password", *KEYS, "s3_access_key", "s3_secret_key", "admin_password",
         "flask_secret_key")  # fmt: skip


def do(stage: Stage, *names: str) -> Rotated:
    """Rotate the secrets of stack `x`, as the command does."""
    return rotate(stage.recorded("x"), names, timeout=1, progress=stage.progress)


def values(stage: Stage) -> Values:
    """What the files hold."""
    secrets = stage.home.stack("x").secrets
    return {name: secrets.read(name).reveal() for name in stage.manifest("x").secrets}


def opens(stage: Stage, name: str) -> str:
    """The value that is let in."""
    if name in ("s3_access_key", "s3_secret_key"):
        return stage.machine.world.knows[stage.home.stack("x").owner, "objects"][name]
    if name in KEYS:
        (opener,) = stage.database("x").sealed[name.partition("_")[0]].values()
        return opener
    return stage.database("x").passwords[name]


def seal(stage: Stage, x: Deployment) -> None:
    """MLflow encrypts a webhook's secret and an API key with the stack's keys."""
    stage.database("x").sealed = {
        name.partition("_")[0]: {"one": x.secrets.read(name).reveal()} for name in KEYS
    }


def proved(stage: Stage, old: Values, *names: str) -> None:
    """These have new values and no other has, each of which opens; nothing lies beside them."""
    new = values(stage)
    assert {name for name in new if new[name] != old[name]} == set(names)
    sealed = KEYS if stage.database("x").sealed else ()
    for name in set(new) - {"flask_secret_key", *KEYS} | set(sealed):
        assert opens(stage, name) == new[name], name
    secrets = stage.home.stack("x").secrets
    assert set(secrets.names()) <= {*new, "aws_credentials"}
    assert stage.manifest("x").status == "deployed"
    settings = stage.recorded("x").settings
    stage.begin()
    assert not stage.deploy(stage.manifest("x").scenario, "name=x", f"auth={settings.auth}")


@pytest.fixture
def x(stage: Stage) -> Deployment:
    """A stack with a database, a bucket and a login of its own."""
    found = stage.deployed("scenario-5", "name=x", "auth=basic", runs=1)
    seal(stage, found)
    return found


# What goes well.


def test_every_secret_gets_a_new_value_and_the_old_ones_are_void(
    stage: Stage, x: Deployment
) -> None:
    old = values(stage)
    assert do(stage) == Rotated(EVERY, resumed=False, copied=False)
    assert [line for line in stage.told if line.startswith("proved")] == [
        "proved: the new value of postgres_password opens, the old one does not",
        "proved: the new value of webhook_key opens, the old one does not",
        "proved: the new value of gateway_passphrase opens, the old one does not",
        "proved: the new value of s3_access_key and s3_secret_key opens, the old one does not",
        "proved: the new value of admin_password opens, the old one does not",
    ]
    proved(stage, old, *EVERY)


def test_new_values_are_on_the_disk_before_anybody_is_told(stage: Stage, x: Deployment) -> None:
    do(stage)
    story = stage.machine.story
    told = story.index("password-change")
    for name in EVERY:
        assert story.index(f"secret .part becomes {name}.next") < told
        # The old one stays until the new one is proved.
        assert story.index(f"secret .part becomes {name}.previous") > told
        assert story.index(f"forget secret {name}.previous") > story.index("prove")
    assert story.index("password-change") < story.index("secret postgres_password.next becomes "
                                                        "postgres_password")  # fmt: skip
    # No server encrypts meanwhile, and those that hold connections stop first.
    assert story.index("stop tracking") < story.index("keys-rewrap")
    assert story.index("stop tracking") < story.index("stop objects") < story.index("prove")


def test_what_no_key_opens_is_named_and_stands_in_nobody_s_way(stage: Stage, x: Deployment) -> None:
    sealed = stage.database("x").sealed
    sealed["webhook"] |= {"hook": "gone", "hook2": "gone"}
    sealed["gateway"]["openai"] = "gone"
    do(stage, *KEYS)
    assert [line for line in stage.told if line.startswith("no key opens")] == [
        "no key opens the 2 secrets of webhooks: 'hook', 'hook2'; each of these webhooks is "
        "disabled, and has none: give it a new one",
        "no key opens the 1 API key of the gateway: 'openai'; enter each again",
    ]
    new = values(stage)
    assert stage.database("x").sealed == {
        "webhook": {"one": new["webhook_key"]},
        "gateway": {"one": new["gateway_passphrase"], "openai": "gone"},
    }


def test_one_is_rotated_alone_with_what_is_of_no_use_without_it(
    stage: Stage, x: Deployment
) -> None:
    old = values(stage)
    assert do(stage, "s3_secret_key").names == ("s3_access_key", "s3_secret_key")
    assert "password-change" not in stage.machine.story
    proved(stage, old, "s3_access_key", "s3_secret_key")


def test_a_password_that_no_server_knows_stops_none(stage: Stage) -> None:
    stage.deployed("scenario-3b-mysql", "name=x")
    old = values(stage)
    do(stage, "mysql_root_password")
    assert not [what for what in stage.machine.story if what.startswith(("stop", "start"))]
    proved(stage, old, "mysql_root_password")


def test_every_database_has_its_own(stage: Stage) -> None:
    stage.deployed("scenario-5-mysql", "name=x")
    old = values(stage)
    names = ("mysql_password", "mysql_root_password", *KEYS, "s3_access_key", "s3_secret_key")
    assert do(stage).names == names
    proved(stage, old, *names)


def test_clients_with_copies_of_the_keys_are_thought_of(stage: Stage) -> None:
    x = stage.deployed("scenario-4", "name=x")
    assert do(stage).copied
    key = x.secrets.read("s3_secret_key").reveal()
    assert key in (x.secrets.path / "aws_credentials").read_text()
    assert not do(stage, "postgres_password").copied


def test_what_is_not_stackctls_to_change_is_left_and_named(stage: Stage) -> None:
    external(stage)
    old = values(stage)
    assert do(stage).names == ("postgres_password", *KEYS)
    (left,) = (line for line in stage.told if line.startswith("left as they are"))
    assert "s3_access_key and s3_secret_key; the object store is external" in left
    proved_ = values(stage)
    assert proved_["s3_secret_key"] == old["s3_secret_key"]


def external(stage: Stage, scenario: str = "scenario-5") -> Deployment:
    """A stack whose bucket is somebody else's."""
    for name in ("s3_access_key", "s3_secret_key"):
        stage.home.stack("x").secrets.take(name, "of-somebody-else")
    return stage.deployed(scenario, "name=x", "object_store=external")


# What is refused.


def test_a_stack_without_secrets_is_refused(stage: Stage) -> None:
    stage.deployed("scenario-3a", "name=x")
    with stage.refuses(2, "this stack has no secrets"):
        do(stage)


def test_a_secret_that_there_is_none_of_is_refused(stage: Stage, x: Deployment) -> None:
    with stage.refuses(2, "did you mean 'postgres_password'"):
        do(stage, "postgres_pasword")
    with pytest.raises(UnknownName):
        do(stage, "admin_password", "none")


def test_keys_of_somebody_else_are_refused_by_name(stage: Stage) -> None:
    external(stage)
    with stage.refuses(2, "cannot be rotated here: the object store is external"):
        do(stage, "s3_secret_key")


def test_where_nothing_can_be_changed_that_is_said(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    external(stage)
    for kind in (DatabasePassword, EncryptionKey):
        monkeypatch.setattr(kind, "foreign", ("it is managed", "ask its owner"))
    with stage.refuses(2, "no secret of this stack can be rotated here"):
        do(stage)


def test_files_that_others_can_read_are_refused(stage: Stage, x: Deployment) -> None:
    x.secrets.path.chmod(0o755)
    with stage.refuses(2, "others can read it"):
        do(stage)


def test_a_value_that_the_service_does_not_take_is_refused(stage: Stage, x: Deployment) -> None:
    """Nothing can be changed without the right one."""
    stage.database("x").passwords["postgres_password"] = "another"
    with stage.refuses(3, "postgres_password: the value in the file is refused"):
        do(stage)


def test_a_root_password_that_mysql_does_not_take_is_refused(stage: Stage) -> None:
    stage.deployed("scenario-3b-mysql", "name=x")
    stage.database("x").passwords["mysql_root_password"] = "another"
    with stage.refuses(3, "mysql_root_password: the value in the file is refused"):
        do(stage)


def test_a_key_that_opens_nothing_of_what_there_is_is_refused(stage: Stage, x: Deployment) -> None:
    stage.database("x").sealed["gateway"]["one"] = "a passphrase of before"
    with stage.refuses(3, "gateway_passphrase: the value in the file is refused"):
        do(stage)


# What is left where it fails.


def test_one_that_is_interrupted_is_ended_by_the_next(stage: Stage, x: Deployment) -> None:
    """At whichever moment it is: whatever was told to whom, the right value is on the disk."""
    old = values(stage)
    for moment in stage.early_ends("is interrupted", partial(do, stage)):
        begun = open_names(x.secrets)
        if begun:
            with stage.refuses(2, f"the rotation of {', '.join(begun)} of stack 'x' was cut short"):
                stage.deploy("scenario-5", "name=x", "auth=basic")
        done = do(stage)
        assert done.resumed is bool(begun), moment
        changed = {name for name, value in values(stage).items() if value != old[name]}
        assert changed >= set(done.names), moment
        proved(stage, old, *changed)


def test_services_that_were_stopped_meanwhile_are_started_to_be_asked(
    stage: Stage, x: Deployment
) -> None:
    old = values(stage)
    with stage.dies("secret postgres_password.next becomes"):
        do(stage)
    stage.goes_down("x", "postgres", "objects", "tracking")
    assert do(stage).resumed
    story = stage.machine.story
    assert story.index("start postgres") < story.index("password-change")
    proved(stage, old, *EVERY)


def test_one_that_was_removed_meanwhile_is_made_anew_for_it(stage: Stage, x: Deployment) -> None:
    old = values(stage)
    with stage.dies("prove"):
        do(stage)
    stage.runtime.remove(x.stack)
    stage.becomes("x", status="removed")
    assert do(stage).resumed
    proved(stage, old, *EVERY)


def test_one_that_goes_on_takes_others_that_are_named_along(stage: Stage, x: Deployment) -> None:
    old = values(stage)
    with stage.dies("password-change"):
        do(stage, "postgres_password")
    done = do(stage, "admin_password")
    assert (done.names, done.resumed) == (("postgres_password", "admin_password"), False)
    proved(stage, old, "postgres_password", "admin_password")


@pytest.mark.parametrize(
    ("taken", "said"),
    [([False, False], "the new value is refused"), ([True, True], "the old value still opens")],
)
def test_what_is_not_proved_is_told_and_stays_open(
    stage: Stage, x: Deployment, monkeypatch: pytest.MonkeyPatch, taken: list[bool], said: str
) -> None:
    old = values(stage)

    def answer(*_: object) -> list[bool]:
        return taken if "prove" in stage.machine.story else [True]

    with monkeypatch.context() as patch:
        patch.setattr(DatabasePassword, "taken", answer)
        with pytest.raises(MachineError, match=f"postgres_password: {said}"):
            do(stage, "postgres_password")
    assert open_names(x.secrets) == ["postgres_password"]
    stage.begin()
    do(stage)
    proved(stage, old, "postgres_password")


def test_a_server_that_does_not_come_up_keeps_it_open(stage: Stage, x: Deployment) -> None:
    old = values(stage)
    stage.machine.ailing["tracking"] = 1
    with pytest.raises(NotReady):
        do(stage)
    assert open_names(x.secrets)
    stage.begin()
    assert do(stage).resumed
    proved(stage, old, *EVERY)


def test_old_values_that_are_void_already_are_not_asked_for(stage: Stage, x: Deployment) -> None:
    """Where one of a pair is deleted, the other one alone tells nothing."""
    old = values(stage)
    with stage.dies("forget secret s3_secret_key.previous"):
        do(stage, "s3_secret_key")
    files = Handover(x.secrets, ("s3_access_key", "s3_secret_key"))
    assert (files.is_open, files.old()) == (True, None)
    assert do(stage).resumed
    proved(stage, old, "s3_access_key", "s3_secret_key")


# The login.


def test_a_login_that_does_not_answer_is_told_without_the_password(
    stage: Stage, x: Deployment
) -> None:
    real = stage.machine.asked

    def down(what: str) -> None:
        real(what)
        if what == "log in":
            stage.machine.world.services[x.stack.owner].clear()

    stage.machine.asked = down  # type: ignore[method-assign]
    with pytest.raises(NotReady, match="the login does not answer") as failure:
        do(stage, "admin_password")
    new = x.secrets.read("admin_password").reveal()
    assert new not in str(failure.value)
    assert "[redacted]" in str(failure.value)
