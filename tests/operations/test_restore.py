"""Restore: verified before anything is changed, `restoring` until it is proved."""

import base64
import io
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from stackctl.archive import Archive
from stackctl.errors import MachineError, NotReady, PortTaken, UserError
from stackctl.operations import proxy_state
from stackctl.operations import restore as operation
from stackctl.operations.restore import Options, compare_counts, destination, restore
from stackctl.versions import MLFLOW
from tests.operations.machine import files, schema
from tests.operations.stage import METER, Stage


def into(stage: Stage, path: Path, name: str, *flags: str, **options: object) -> None:
    """Restore an archive, as the command does."""
    with Archive(path) as archive:
        target = destination(archive, stage.home, name, flags)
        restore(
            archive, target, Options(**options), meter=METER, progress=stage.progress,  # type: ignore[arg-type]
        )  # fmt: skip


@pytest.fixture
def archive(stage: Stage) -> Path:
    """Of a stack `x` of scenario-5 with two runs, which runs on."""
    x = stage.deployed("scenario-5", "name=x", "workers=3", runs=2)
    stage.artifacts("x")["bucket/beside%2Fit"] = b"an object that is no artifact"
    return stage.archived(x)


PORT = "port=5999"


def whole(stage: Stage) -> bool:
    """Stack `y` holds what the archive holds, and serves it."""
    runs = [f"mlflow-artifacts:/0/run{number}/artifacts" for number in range(2)]
    held = stage.database("y")
    return (
        held.tables["runs"] == runs
        and held.revision == schema(MLFLOW)
        and sorted(stage.artifacts("y")) == [
            "artifacts/0/run0/artifacts/model.bin",
            "artifacts/0/run1/artifacts/model.bin",
            "bucket/beside%2Fit",
        ]
        and stage.manifest("y").status == "deployed"
        and not stage.deploy("scenario-5", "name=y", PORT, "workers=3")
    )  # fmt: skip


# What goes well.


def test_a_new_stack_is_deployed_emptied_filled_and_proved(stage: Stage, archive: Path) -> None:
    into(stage, archive, "y", PORT)
    story = stage.machine.story
    begin = story.index("status deployed") + 1
    assert story[begin:] == [
        "count rows", "measure artifacts",
        "status restoring",
        "stop tracking",
        "clear artifacts",
        "load database",
        "load artifacts/0/run0/artifacts/model.bin",
        "load artifacts/0/run1/artifacts/model.bin",
        "load bucket/beside%2Fit",
        "settle database",
        "keys-rewrap",
        "start tracking",
        "count rows",
        "prove",
        "status deployed",
    ]  # fmt: skip
    assert whole(stage)


def test_a_new_stack_has_the_settings_of_the_old_one_and_its_own_place(
    stage: Stage, archive: Path
) -> None:
    into(stage, archive, "y", PORT)
    settings = stage.recorded("y").settings
    assert (settings.name, settings.workers, settings.port) == ("y", 3, 5999)
    passwords = {name: stage.home.stack(name).secrets.read("postgres_password").reveal()
                 for name in ("x", "y")}  # fmt: skip
    assert passwords["x"] != passwords["y"]


def test_an_archive_is_restored_under_its_own_name_where_none_is_given(
    stage: Stage, archive: Path
) -> None:
    with Archive(archive) as found:
        assert destination(found, stage.home, None, ()).name == "x"


def test_an_empty_stack_that_runs_is_filled(stage: Stage, archive: Path) -> None:
    stage.deployed("scenario-5", "name=y", PORT, "workers=3")
    into(stage, archive, "y")
    assert "create tracking" not in stage.machine.done
    assert whole(stage)


def test_locations_lead_to_the_new_stack(stage: Stage) -> None:
    x = stage.deployed("scenario-3b", "name=x", runs=1)
    into(stage, stage.archived(x), "y", PORT)
    data = stage.home.path / "data" / "y"
    assert stage.database("y").tables["runs"] == [f"{data}/mlruns/0/run0/artifacts"]


def test_data_of_an_older_release_are_taken_to_this_one(stage: Stage) -> None:
    x = stage.deployed("scenario-5", "name=x", "mlflow_version=3.16.0", runs=1)
    path = stage.archived(x)
    into(stage, path, "y", PORT, f"mlflow_version={MLFLOW}")
    assert stage.database("y").revision == schema(MLFLOW)


def test_what_is_replaced_is_backed_up_first(stage: Stage, archive: Path, tmp_path: Path) -> None:
    y = stage.deployed("scenario-5", "name=y", PORT, "workers=3", runs=5)
    into(stage, archive, "y", replace=tmp_path / "before.tar")
    assert whole(stage)
    with Archive(tmp_path / "before.tar") as kept:
        kept.verify()
        assert kept.manifest["counts"]["runs"] == [5, 5]
    assert f"what {y.name} held is in {tmp_path / 'before.tar'}" in stage.told


def test_the_login_is_that_of_the_new_stack(stage: Stage) -> None:
    x = stage.deployed("scenario-5", "name=x", "auth=basic", runs=1)
    into(stage, stage.archived(x), "y", PORT)
    own = stage.home.stack("y").secrets.read("admin_password").reveal()
    assert stage.database("y").passwords["admin_password"] == own


@pytest.mark.usefixtures("quick_seal")
def test_secrets_of_the_archive_become_those_of_a_new_stack(stage: Stage, tmp_path: Path) -> None:
    x = stage.deployed("scenario-5", "name=x")
    into(stage, stage.archived(x, passphrase="hush"), "y", PORT, passphrase="hush")
    for name in ("postgres_password", "s3_secret_key"):
        assert stage.home.stack("y").secrets.read(name) == x.secrets.read(name)


# What is refused.


@pytest.mark.parametrize("scenario", ["scenario-3b", "scenario-3b-mysql"])
def test_an_archive_of_another_kind_is_refused(stage: Stage, archive: Path, scenario: str) -> None:
    stage.deployed(scenario, "name=y", PORT)
    with stage.refuses(2, "it holds backend of kind 'postgres', and", "stackctl promote"):
        into(stage, archive, "y")


def test_artifacts_of_another_kind_are_refused(stage: Stage) -> None:
    path = stage.archived(stage.deployed("scenario-3b-mysql", "name=x"))
    stage.deployed("scenario-5-mysql", "name=y", PORT)
    with stage.refuses(2, "it holds artifacts of kind 'folder', and scenario-5-mysql has 's3'"):
        into(stage, path, "y")


def test_an_archive_of_a_newer_release_is_refused(stage: Stage, archive: Path) -> None:
    with stage.refuses(2, f"was last used by MLflow {MLFLOW}", "mlflow_version=3.16.0"):
        into(stage, archive, "y", PORT, "mlflow_version=3.16.0")


@pytest.mark.parametrize("there", [True, False])
def test_a_damaged_archive_changes_nothing(stage: Stage, archive: Path, there: bool) -> None:
    if there:
        stage.deployed("scenario-5", "name=y", PORT)
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    with stage.refuses(2, "differs from its checksum"):
        into(stage, archive, "y", *(() if there else (PORT,)))


def test_a_stack_that_holds_data_is_refused(stage: Stage, archive: Path) -> None:
    with stage.refuses(2, "stack 'x' holds data", "--replace", "nothing was changed"):
        into(stage, archive, "x")


def test_artifacts_alone_are_data_too(stage: Stage, archive: Path) -> None:
    stage.deployed("scenario-5", "name=y", PORT)
    stage.artifacts("y")["artifacts/0/a"] = b"left"
    with stage.refuses(2, "stack 'y' holds data"):
        into(stage, archive, "y")


def test_a_place_for_the_backup_that_is_taken_is_refused(
    stage: Stage, archive: Path, tmp_path: Path
) -> None:
    (tmp_path / "before.tar").write_text("mine")
    with stage.refuses(2, "there is a file of that name"):
        into(stage, archive, "x", replace=tmp_path / "before.tar")


OF_ANOTHER_MACHINE = {
    "bind": "192.168.7.1", "auth": "basic", "public_hosts": ["srv.lan", "ml.example"],
    "images": {"tracking": "theirs:1"}, "data": "/somewhere", "workers": 3,
}  # fmt: skip


def test_settings_that_name_places_are_taken_when_somebody_says_so(
    stage: Stage, archive: Path
) -> None:
    with Archive(archive) as found:
        found.manifest["settings"] = dict(OF_ANOTHER_MACHINE)
        with stage.refuses(
            2, "has settings of the machine that it was made on: bind=192.168.7.1, "
            "public_hosts=srv.lan,ml.example, images.tracking=theirs:1;", "--as-it-was"
        ):  # fmt: skip
            destination(found, stage.home, "y", ())
        said = ["bind=127.0.0.1", "public_hosts=", "images.tracking=mine:1"]
        chosen = destination(found, stage.home, "y", said).settings
        assert (chosen.bind, chosen.public_hosts, chosen.images) == (
            "127.0.0.1", (), {"tracking": "mine:1"},
        )  # fmt: skip
        taken = destination(found, stage.home, "y", (), as_it_was=True).settings
        assert (taken.bind, taken.images) == ("192.168.7.1", {"tracking": "theirs:1"})
        for each in (chosen, taken):
            # Where the data of a stack go, its own home says alone.
            assert (each.data, each.auth, each.workers) == ("", "basic", 3)


def test_what_servers_are_told_in_their_own_words_is_asked_for(stage: Stage, archive: Path) -> None:
    """A variable can name a program."""
    with Archive(archive) as found:
        found.manifest["settings"]["server"] = {
            "args": {"x-frame-options": "DENY"}, "env": {"LD_PRELOAD": "/theirs.so"}
        }  # fmt: skip
        with stage.refuses(2, "server.args.x-frame-options=DENY, server.env.LD_PRELOAD=/theirs.so"):
            destination(found, stage.home, "y", ())
        said = ["server.args.x-frame-options=DENY", "server.env.LD_PRELOAD="]
        chosen = destination(found, stage.home, "y", said).settings.server
        assert (chosen.args, chosen.env) == ({"x-frame-options": "DENY"}, {})


def test_workspaces_need_a_stack_that_has_them(stage: Stage) -> None:
    x = stage.deployed("scenario-3b", "name=x", "workspaces=true", runs=1)
    stage.database("x").tables["workspaces"] = ["team"]
    path = stage.archived(x)
    with stage.refuses(2, "has workspaces, 1 beside the default one", "set workspaces=true"):
        into(stage, path, "y", PORT, "workspaces=false")
    into(stage, path, "z", PORT)
    assert stage.database("z").tables["workspaces"] == ["team"]


def test_settings_for_a_stack_that_is_there_are_refused(stage: Stage, archive: Path) -> None:
    with stage.refuses(2, "stack 'x' is there, and a restore keeps its settings"):
        into(stage, archive, "x", PORT)


def test_data_that_a_new_stack_finds_are_not_replaced(stage: Stage) -> None:
    x = stage.deployed("scenario-3b", "name=x", runs=1)
    path = stage.archived(x)
    theirs = stage.deployed("scenario-2", "name=y", PORT, runs=3)
    with pytest.raises(UserError, match="stack 'z' holds data"):
        into(stage, path, "z", "port=5998", f"data={theirs.data}")
    assert len(stage.database("y").tables["runs"]) == 3
    assert "clear artifacts" not in stage.machine.done


def test_no_room_is_said_before_it_begins(stage: Stage, no_room: Callable[[], None]) -> None:
    path = stage.archived(stage.deployed("scenario-3b", "name=x", runs=1))
    no_room()
    with stage.refuses(3, "what the archive holds needs about"):
        into(stage, path, "y", PORT)


def test_what_volumes_will_hold_needs_no_room_in_the_home(
    stage: Stage, archive: Path, no_room: Callable[[], None]
) -> None:
    no_room()
    into(stage, archive, "y", PORT)
    assert whole(stage)


def test_secrets_that_are_not_in_the_archive_are_asked_for_in_vain(
    stage: Stage, archive: Path
) -> None:
    with stage.refuses(2, "it holds no secrets", "leave the passphrase out"):
        into(stage, archive, "y", PORT, passphrase="hush")


@pytest.mark.usefixtures("quick_seal")
def test_secrets_of_the_archive_go_again_where_the_stack_is_not_deployed(
    stage: Stage,
) -> None:
    """They were no stack's, and a later one of that name makes its own."""
    x = stage.deployed("scenario-5", "name=x")
    path = stage.archived(x, passphrase="hush")
    mine = stage.home.stack("y").secrets
    mine.take("postgres_password", "one that the user chose")
    before = files(stage.home.path)
    # The port is taken.
    with pytest.raises(PortTaken):
        into(stage, path, "y", passphrase="hush")
    assert files(stage.home.path) == before
    stage.begin()
    act = partial(into, stage, path, "y", PORT, passphrase="hush")
    for moment in stage.early_ends("fails", act, last="prove"):
        assert mine.names() == ["postgres_password"], moment


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "..", "a/b", "A", ""])
def test_a_secret_of_the_archive_has_the_name_of_one(
    stage: Stage, archive: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whoever gives somebody an archive does not decide where a file is written."""
    monkeypatch.setattr(operation, "unseal", lambda *_: {"s3_secret_key": "value", name: "evil"})
    monkeypatch.setattr(Archive, "text", lambda *_: b"sealed")
    with stage.refuses(2, f"it names a secret {name!r}"):
        into(stage, archive, "y", PORT, passphrase="hush")


# What is left where it fails.


def test_one_that_is_killed_is_ended_by_the_same_command(stage: Stage, archive: Path) -> None:
    """At whichever moment after the deploy; the archive's own stack is not touched."""
    act = partial(into, stage, archive, "y", PORT)
    theirs = stage.database("x"), stage.artifacts("x"), files(stage.home.stack("x").folder)
    for moment in stage.early_ends("is killed", act, "status deployed"):
        manifest = stage.home.stack("y").manifest()
        if manifest is not None and manifest.status == "restoring":
            with stage.refuses(2, "the data of stack 'y' is half restored"):
                stage.deploy("scenario-5", "name=y", PORT, "workers=3")
        # One that was deployed and is still empty keeps its settings.
        is_there = manifest is not None and manifest.status == "deployed"
        into(stage, archive, "y", *(() if is_there else (PORT,)))
        assert whole(stage), moment
        now = stage.database("x"), stage.artifacts("x"), files(stage.home.stack("x").folder)
        assert now == theirs, moment


@pytest.mark.parametrize("how", ["fails", "is interrupted"])
def test_one_that_replaces_and_ends_early_has_lost_nothing(
    stage: Stage, archive: Path, how: str
) -> None:
    """At whichever moment it is: what was there is in the stack, or in the backup of it."""
    stage.deployed("scenario-5", "name=y", PORT, "workers=3", runs=5)
    kept = stage.home.path / "backups" / "before.tar"
    act = partial(into, stage, archive, "y", replace=kept)
    for moment in stage.early_ends(how, act):
        restoring = stage.manifest("y").status == "restoring"
        if kept.exists():
            with Archive(kept) as found:
                found.verify()
                assert found.manifest["counts"]["runs"] == [5, 5], moment
        else:
            assert not restoring, moment
        if not restoring:
            there = len(stage.database("y").tables["runs"])
            assert there == 5 or moment == "status deployed"
        kept.unlink(missing_ok=True)
        act()
        assert whole(stage), moment


def test_the_first_backup_is_not_replaced_by_one_of_half_the_data(
    stage: Stage, archive: Path, tmp_path: Path
) -> None:
    """The same command goes on after `restoring` without another backup."""
    stage.deployed("scenario-5", "name=y", PORT, "workers=3", runs=5)
    with stage.dies("load database"):
        into(stage, archive, "y", replace=tmp_path / "before.tar")
    into(stage, archive, "y", replace=tmp_path / "another.tar")
    assert not (tmp_path / "another.tar").exists()
    assert whole(stage)


GO_ON = (
    "stack 'y' is half restored; if this machine failed, mend that and run the same command again; "
    "if the archive is at fault, restore another one{}: stackctl restore FILE --name y; or give it "
    "up: stackctl remove y --volumes"
)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MachineError("the dump ends", hint="mend that", details="a line"), "the dump ends"),
        (NotADirectoryError(20, "Not a directory", "/data/a/b"), "/data/a/b: Not a directory"),
    ],
)
@pytest.mark.parametrize("at", ["load database", "load artifacts/0/run0", "settle database"])
def test_an_archive_that_cannot_be_loaded_makes_way_for_another(
    stage: Stage, archive: Path, tmp_path: Path, error: Exception, said: str, at: str
) -> None:
    stage.machine.fails(at, error)
    with pytest.raises(MachineError) as failure:
        into(stage, archive, "y", PORT)
    assert (failure.value.message, failure.value.hint) == (said, GO_ON.format(""))
    assert failure.value.details == getattr(error, "details", "")
    stage.begin()
    other = stage.archived(stage.deployed("scenario-5", "name=z", "port=5998", runs=5), "other.tar")
    into(stage, other, "y")
    assert len(stage.database("y").tables["runs"]) == 5
    assert stage.manifest("y").status == "deployed"


def test_what_was_replaced_is_named_where_the_restore_fails(
    stage: Stage, archive: Path, tmp_path: Path
) -> None:
    stage.deployed("scenario-5", "name=y", PORT, "workers=3", runs=5)
    kept = tmp_path / "before.tar"
    stage.machine.fails("load database", MachineError("no"))
    with pytest.raises(MachineError) as failure:
        into(stage, archive, "y", replace=kept)
    assert failure.value.hint == GO_ON.format(f", as {kept} with what it held")
    stage.begin()
    into(stage, kept, "y")
    assert len(stage.database("y").tables["runs"]) == 5
    # One that goes on has made none, whatever it would be called.
    stage.becomes("y", status="restoring")
    stage.machine.fails("load database", MachineError("no"))
    with pytest.raises(MachineError) as failure:
        into(stage, archive, "y", replace=tmp_path / "another.tar")
    assert failure.value.hint == GO_ON.format("")


def test_counts_that_differ_keep_the_stack_half_restored(
    stage: Stage, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Archive(archive) as found:
        found.manifest["counts"] = {"runs": [3, 4]}
        target = destination(found, stage.home, "y", [PORT])
        with pytest.raises(
            MachineError, match="there are 2 runs, and the archive says 3 to 4"
        ) as e:
            restore(found, target, Options(), meter=METER, progress=stage.progress)
    assert e.value.hint == GO_ON.format("")
    assert stage.manifest("y").status == "restoring"


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"runs": [2, 2]}, ""),
        ({"runs": [1, 4]}, ""),
        ({"runs": [3, 3]}, "there are 2 runs, and the archive says 3$"),
        ({"logged_models": [1, 1]}, "there are 0 logged models, and the archive says 1$"),
    ],
)
def test_as_many_must_be_there_as_the_archive_says(
    stage: Stage, archive: Path, counts: dict[str, list[int]], said: str
) -> None:
    with Archive(archive) as found:
        found.manifest["counts"] = counts
        if not said:
            compare_counts(found, stage.recorded("x"))
            return
        with pytest.raises(MachineError, match=said):
            compare_counts(found, stage.recorded("x"))


def test_a_stack_that_does_not_serve_what_was_restored_stays_half_restored(
    stage: Stage, archive: Path
) -> None:
    stage.deployed("scenario-5", "name=y", PORT, "workers=3")
    stage.machine.fails("prove", NotReady("it does not answer"))
    with pytest.raises(NotReady):
        into(stage, archive, "y")
    assert stage.manifest("y").status == "restoring"
    stage.begin()
    into(stage, archive, "y")
    assert whole(stage)


# What the proxy keeps.

ACME = ("name=x", "tls=acme", "public_url=https://ml.example.org")


def at(port: int) -> tuple[str, ...]:
    """The same at other ports."""
    return (*ACME[1:], f"port={port}", f"http_port={port + 1}")


def test_certificates_of_acme_travel_with_the_secrets_alone(stage: Stage) -> None:
    x = stage.deployed("scenario-3b", *ACME, runs=1)
    kept = x.stack.state / "proxy" / "certificates" / "ca" / "ml.key"
    kept.parent.mkdir(parents=True)
    kept.write_text("geheim")
    (x.stack.state / "proxy" / "locks").mkdir()
    (x.stack.state / "proxy" / "locks" / "one").touch()
    plain, sealed = stage.archived(x), stage.archived(x, "b.tar", passphrase="hush")
    assert b"geheim" not in plain.read_bytes() + sealed.read_bytes()
    into(stage, plain, "y", *at(6001))
    assert not list((stage.home.stack("y").state / "proxy").rglob("*.key"))
    options = Options(timeout=1, passphrase="hush")
    with Archive(sealed) as archive:
        z = destination(archive, stage.home, "z", at(6003))
        restore(archive, z, options, meter=METER, progress=stage.progress)
    files = [path for path in (z.stack.state / "proxy").rglob("*") if path.is_file()]
    assert [(path.name, path.read_text()) for path in files] == [("ml.key", "geheim")]
    assert files[0].stat().st_mode & 0o777 == 0o600
    assert "acme_state" not in z.stack.secrets.names()


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out"])
def test_what_is_none_of_the_proxy_s_is_not_written(stage: Stage, name: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name))
    y = stage.wanted("scenario-3b", "name=y", *ACME[1:])
    text = base64.b64encode(packed.getvalue()).decode()
    for damaged in (text, text[:-9], "none"):
        with pytest.raises(UserError, match="is damaged"), proxy_state.taken(y, damaged):
            pass
        assert not y.stack.state.exists() or not list(y.stack.state.rglob("*"))
