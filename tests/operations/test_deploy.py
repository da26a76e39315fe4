"""Deploy: what it refuses, in which order it acts, and what it leaves where it fails."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stackctl.errors import MachineError, NotReady
from stackctl.operations.deploy import deploy, look
from stackctl.operations.remove import remove, remove_with_data
from stackctl.plan import Step
from stackctl.render import Bundle, ComposeRendering, Service
from stackctl.runtimes.base import Obstacle
from stackctl.stack import Home
from stackctl.versions import MLFLOW
from tests.operations.fake import KeepingHost
from tests.operations.machine import files
from tests.operations.stage import Stage


def nothing(stage: Stage) -> bool:
    """No trace of a stack is left, on the disk or on the machine, but for what the user chose."""
    left, world = files(stage.home.path), stage.machine.world
    return not left.keys() - {"stackctl.toml"} and not any(
        [*world.services.values(), *world.volumes.values(), *world.networks.values()]
    )


# What goes well.


def test_a_first_deploy_makes_everything_and_proves_it(stage: Stage) -> None:
    assert stage.deploy("scenario-5", "name=x")
    image = stage.runtime.described(stage.home.stack("x"))[-1].program
    assert stage.machine.story == [
        "status deploying",
        "write secret gateway_passphrase",
        "write secret postgres_password",
        "write secret s3_access_key",
        "write secret s3_secret_key",
        "write secret webhook_key",
        "write bundle",
        "pull postgres:18.6",
        "pull chrislusf/seaweedfs:4.48",
        f"build {image}",
        "create postgres",
        "create objects",
        "create bucket",
        "create tracking",
        "prove",
        "status deployed",
    ]
    manifest = stage.manifest("x")
    assert (manifest.status, manifest.mlflow) == ("deployed", MLFLOW)
    assert manifest.deployed_at
    assert any("generated gateway_passphrase" in line for line in stage.told)


def test_a_second_deploy_changes_nothing(stage: Stage) -> None:
    stage.deployed("scenario-5", "name=x", runs=1)
    before = stage.now()
    assert not stage.deploy("scenario-5", "name=x")
    assert stage.machine.story == ["sweep", "prove"]
    assert stage.now() == before


def test_a_changed_setting_changes_only_what_it_is_of(stage: Stage) -> None:
    stage.deployed("scenario-5", "name=x", "workers=2")
    assert stage.deploy("scenario-5", "name=x", "workers=1")
    assert "recreate tracking" in stage.machine.done
    assert not {"recreate postgres", "recreate objects"} & set(stage.machine.done)
    assert "setting workers: 2 -> 1, from --set" in stage.told
    assert stage.manifest("x").settings["workers"] == 1


def test_what_is_no_longer_part_of_the_stack_goes(stage: Stage) -> None:
    stage.deployed("scenario-4", "name=x")
    (stage.home.path / "scenarios").mkdir()
    (stage.home.path / "scenarios" / "scenario-4.toml").write_text(
        'title = "t"\nchoose = "c"\nservices = ["postgres", "objects", "tracking"]\n'
        'backend = "postgres"\nartifacts = "s3"\nwriter = "client"\n'
        "[settings]\nport = 5004\nobject_store_port = 5014\n"
    )
    assert stage.deploy("scenario-4", "name=x")
    assert stage.machine.done[-2:] == ["remove bucket", "status deployed"]
    assert "bucket" not in stage.machine.world.services[stage.home.stack("x").owner]


def test_a_service_that_is_on_its_way_is_waited_for(stage: Stage) -> None:
    x = stage.deployed("scenario-3b", "name=x")
    there = stage.machine.world.services[x.stack.owner]
    there["tracking"] = replace(there["tracking"], health="starting")
    assert not stage.deploy("scenario-3b", "name=x")
    assert there["tracking"].settled
    assert stage.machine.done == []


def test_without_the_check_nobody_uses_it(stage: Stage) -> None:
    stage.deploy("scenario-3b", "name=x", check=False)
    stage.deploy("scenario-3b", "name=x", check=False)
    assert "prove" not in stage.machine.story
    assert stage.manifest("x").status == "deployed"


def test_a_deploy_that_was_killed_at_its_end_is_noted_by_the_next(stage: Stage) -> None:
    with stage.dies("status deployed"):
        stage.deploy("scenario-3b", "name=x")
    assert stage.manifest("x").status == "deploying"
    assert not stage.deploy("scenario-3b", "name=x")
    assert stage.machine.done == ["status deployed"]


def test_what_the_files_say_of_the_settings_is_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Noting(ComposeRendering):
        def bundle(self) -> Bundle:
            return replace(super().bundle(), notes=("memory.ui has no effect",))

    monkeypatch.setattr(stage.runtime, "rendering", Noting)
    stage.deploy("scenario-3b", "name=x")
    assert "memory.ui has no effect" in stage.told


def test_what_the_runtime_chose_is_kept(stage: Stage) -> None:
    stage.runtime.host_kind = KeepingHost
    stage.deployed("scenario-5", "name=x")
    assert stage.manifest("x").kept == {"ports": {"postgres": 10240}}
    assert stage.manifest("x").data == str(stage.home.path / "data" / "x")


@pytest.mark.parametrize(
    ("flags", "told", "noted"),
    [
        # With a login 2.22 tells its version to nobody else.
        ((), "", MLFLOW),
        ((), "3.17.9", "3.17.9"),
        (("images.tracking=mine:5",), "3.16.1", "3.16.1"),
        # Nobody knows what is in it.
        (("images.tracking=mine:5",), "", ""),
    ],
)
def test_the_release_that_is_noted_is_the_one_that_the_server_tells(
    stage: Stage, flags: tuple[str, ...], told: str, noted: str
) -> None:
    stage.machine.says = told
    stage.machine.world.brings["mine:5"] = MLFLOW
    stage.deploy("scenario-3b", "name=x", *flags)
    assert stage.manifest("x").mlflow == noted


def test_clients_of_a_bucket_have_its_keys_in_their_own_form(stage: Stage) -> None:
    x = stage.deployed("scenario-4", "name=x")
    text = (x.secrets.path / "aws_credentials").read_text()
    assert f"aws_secret_access_key = {x.secrets.read('s3_secret_key').reveal()}\n" in text


def test_a_folder_that_is_there_is_not_stackctls_own(stage: Stage, tmp_path: Path) -> None:
    stage.deployed("scenario-3b", "name=x")
    stage.deployed("scenario-2", "name=y", f"data={tmp_path / 'mine'}")
    (tmp_path / "theirs").mkdir()
    stage.deployed("scenario-1", "name=z", f"data={tmp_path / 'theirs'}")
    made = {name: stage.manifest(name).data_created for name in ("x", "y", "z")}
    assert made == {"x": True, "y": True, "z": False}
    # It stays so by whatever is deployed later.
    for name, scenario in (("x", "scenario-3b"), ("z", "scenario-1")):
        data = () if name == "x" else (f"data={tmp_path / 'theirs'}",)
        stage.deploy(scenario, f"name={name}", "workers=1", *data)
    assert stage.manifest("x").data_created
    assert not stage.manifest("z").data_created


def test_a_look_changes_nothing(stage: Stage) -> None:
    before = stage.now()
    assert look(stage.wanted("scenario-5", "name=x")).plan.makes_folder is False
    assert look(stage.wanted("scenario-3b", "name=y")).plan.makes_folder is True
    assert (stage.now(), stage.machine.story) == (before, [])


# What is refused.


def test_a_stack_of_another_scenario_is_refused(stage: Stage) -> None:
    stage.deployed("scenario-3b", "name=x")
    with stage.refuses(2, "stack 'x' is of scenario-3b, not of scenario-5", "--set name=NAME"):
        stage.deploy("scenario-5", "name=x")


@pytest.mark.parametrize(
    ("scenario", "before", "after"),
    [
        ("scenario-5", "bucket=mine", "bucket=another"),
        ("scenario-5", "object_store=seaweedfs", "object_store=minio"),
        ("scenario-3b", "data=", "data=elsewhere"),
        ("scenario-3b-mysql", "data=", "data=elsewhere"),
    ],
)
def test_a_stack_is_not_pointed_at_another_store(
    stage: Stage, scenario: str, before: str, after: str
) -> None:
    stage.deployed(scenario, "name=x", before)
    with stage.refuses(2, "would not find it", f"--set {before}"):
        stage.deploy(scenario, "name=x", after)
    with stage.refuses(2, "would not find it"):
        look(stage.wanted(scenario, "name=x", after))


@pytest.mark.parametrize("keeps", [True, False])
def test_data_that_services_keep_in_the_data_folder_stay_there(stage: Stage, keeps: bool) -> None:
    if keeps:
        stage.runtime.host_kind = KeepingHost
    stage.deployed("scenario-5", "name=x")
    if not keeps:
        assert stage.deploy("scenario-5", "name=x", "data=elsewhere")
        return
    with stage.refuses(2, "data=elsewhere (from --set) would not find it"):
        stage.deploy("scenario-5", "name=x", "data=elsewhere")


def test_the_same_name_from_another_home_is_refused(stage: Stage, tmp_path: Path) -> None:
    stage.deployed("scenario-3b", "name=x")
    (tmp_path / "another").mkdir()
    other = replace(stage, home=Home(tmp_path / "another"))
    with stage.refuses(2, "belongs to another home"):
        other.deploy("scenario-3b", "name=x")
    assert list(other.home.path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        ("address", 2, "not an address of this machine"),
        ("privilege", 2, "only root may listen"),
        ("taken", 3, "port 5003 on 127.0.0.1 is taken by thing (process 7)"),
    ],
)
def test_what_cannot_be_published_is_refused(stage: Stage, kind: str, code: int, said: str) -> None:
    stage.machine.world.taken[5003] = Obstacle(kind, "thing (process 7)")  # type: ignore[arg-type]
    with stage.refuses(code, said):
        stage.deploy("scenario-3b", "name=x")


def test_a_port_of_another_stack_names_it(stage: Stage) -> None:
    stage.deployed("scenario-3b", "name=x")
    with stage.refuses(3, "port 5003", "stack 'x'"):
        stage.deploy("scenario-3b", "name=y")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("a?b", "MLflow cannot use a path with ?"),
        (".", "holds other things of stackctl"),
        ("..", "holds other things of stackctl"),
        ("data", "holds other things of stackctl"),
        (".secrets/y", "holds other things of stackctl"),
        (".stackctl/y", "holds other things of stackctl"),
        ("data/../.stackctl/y", "holds other things of stackctl"),
        ("link/below", "holds other things of stackctl"),
        ("file", "is a file"),
    ],
)
def test_a_data_folder_that_cannot_be_one_is_refused(stage: Stage, data: str, said: str) -> None:
    (stage.home.path / "file").touch()
    (stage.home.path / ".secrets").mkdir(mode=0o700)
    (stage.home.path / "link").symlink_to(".secrets")
    with stage.refuses(2, said):
        stage.deploy("scenario-3b", "name=x", f"data={data}")


def test_data_that_vanished_are_not_made_anew(stage: Stage) -> None:
    x = stage.deployed("scenario-3b", "name=x")
    remove(x, progress=stage.progress)
    x.data.rename(x.data.with_name("not mounted"))
    stage.begin()
    with stage.refuses(2, f"data folder {x.data} of stack 'x' is gone", "is a disk not mounted?"):
        stage.deploy("scenario-3b", "name=x")


def test_data_that_were_moved_are_refused_until_the_old_path_leads_there(
    stage: Stage, tmp_path: Path
) -> None:
    stage.deployed("scenario-3b", "name=x")
    old = stage.home.path
    moved = replace(stage, home=Home(old.rename(tmp_path / "moved")))
    stage.machine.home = moved.home
    with moved.refuses(2, "were moved from", f"ln -s {moved.home.path} {old}"):
        moved.deploy("scenario-3b", "name=x")
    old.symlink_to(moved.home.path)
    moved.deploy("scenario-3b", "name=x")


def test_the_keys_of_an_external_store_are_asked_for(stage: Stage) -> None:
    with stage.refuses(2, "s3_access_key: is missing"):
        stage.deploy("scenario-5", "name=x", "object_store=external")


@pytest.mark.parametrize("whole", [True, False])
def test_a_bad_secret_is_refused_before_anything(stage: Stage, whole: bool) -> None:
    x = stage.deployed("scenario-5", "name=x", "workers=2")
    path = x.secrets.path if whole else x.secrets.path / "postgres_password"
    path.chmod(0o755)
    with stage.refuses(2, "others can read it (mode 0755)"):
        stage.deploy("scenario-5", "name=x", "workers=1")


@pytest.mark.parametrize(
    ("there", "wanted", "said"),
    [
        ("3.16.0", MLFLOW, f"run: stackctl upgrade x --to {MLFLOW}"),
        (MLFLOW, "3.16.0", "mlflow_version=3.16.0 (from --set) cannot read"),
    ],
)
def test_another_release_is_left_to_an_upgrade(
    stage: Stage, there: str, wanted: str, said: str
) -> None:
    stage.deployed("scenario-3b", "name=x", f"mlflow_version={there}")
    with stage.refuses(2, said):
        stage.deploy("scenario-3b", "name=x", f"mlflow_version={wanted}")


def test_a_release_that_cannot_be_had_stops_nothing(stage: Stage) -> None:
    stage.deployed("scenario-1", "name=x")
    before = stage.now()
    stage.machine.fails("build", MachineError("the package index has no mlflow-skinny==9.0.0"))
    with pytest.raises(MachineError, match=r"has no mlflow-skinny==9\.0\.0"):
        stage.deploy("scenario-1", "name=x", "mlflow_version=9.0.0")
    assert not [what for what in stage.machine.done if what.startswith(("stop", "recreate"))]
    assert stage.now() == before


def test_a_stack_is_not_taken_to_another_runtime(stage: Stage) -> None:
    stage.deployed("scenario-5", "name=x")
    with stage.refuses(2, "its data would not be found on embedded"):
        stage.deploy("scenario-5", "name=x", "runtime=embedded")


# What is left where it fails.


@pytest.mark.parametrize("scenario", ["scenario-3b", "scenario-5"])
@pytest.mark.parametrize("how", ["fails", "is interrupted"])
def test_a_first_deploy_that_ends_early_leaves_no_trace(
    stage: Stage, scenario: str, how: str
) -> None:
    """At whichever moment before the end of the proof it is."""
    act = partial(stage.deploy, scenario, "name=x")
    for moment in stage.early_ends(how, act, last="prove"):
        assert nothing(stage), moment


@pytest.mark.parametrize("how", ["fails", "is interrupted"])
def test_a_later_deploy_that_ends_early_puts_back_what_ran(stage: Stage, how: str) -> None:
    """At whichever moment it is: files, record and services are what they were."""
    stage.deployed("scenario-5", "name=x", "workers=2", runs=1)
    world, disk = stage.machine.keep()
    act = partial(stage.deploy, "scenario-5", "name=x", "workers=1", "auth=basic")
    for moment in stage.early_ends(how, act, last="prove"):
        there = files(stage.home.path)
        # A new secret stays for the next deploy.
        new = {name for name in there if name.startswith(".secrets/x/")} - set(disk)
        assert {name: there[name] for name in set(there) - new} == disk, moment
        assert stage.machine.world.services == world.services, moment
        assert len(stage.database("x").tables["runs"]) == 1
        assert not stage.deploy("scenario-5", "name=x", "workers=2")
        assert stage.machine.done == []


def test_a_deploy_that_is_killed_is_ended_by_the_next(stage: Stage) -> None:
    """At whichever moment it is; and all of it can be taken away after that."""
    act = partial(stage.deploy, "scenario-5", "name=x")
    for moment in stage.early_ends("is killed", act):
        stage.deploy("scenario-5", "name=x")
        assert stage.manifest("x").status == "deployed", moment
        remove_with_data(stage.recorded("x"), progress=stage.progress)
        assert nothing(stage), moment


def test_a_stopped_stack_that_does_not_come_up_keeps_its_data(stage: Stage) -> None:
    x = stage.deployed("scenario-5", "name=x", runs=1)
    remove(x, progress=stage.progress)
    before = stage.now()[0]
    stage.begin()
    stage.machine.ailing["tracking"] = 1
    with pytest.raises(NotReady, match="service tracking is running, unhealthy"):
        stage.deploy("scenario-5", "name=x")
    assert "taking away what was started" in stage.told
    assert stage.machine.done[-2:] == ["remove services", "status removed"]
    assert stage.now()[0] == before
    stage.begin()
    stage.deploy("scenario-5", "name=x")
    assert len(stage.artifacts("x")) == 1


def test_a_volume_that_was_there_before_a_first_deploy_is_not_lost(stage: Stage) -> None:
    stage.deployed("scenario-5", "name=x", runs=1)
    x = stage.home.stack("x")
    stage.runtime.remove(x)
    x.forget()
    stage.begin()
    stage.machine.fails("prove", NotReady("no"))
    with pytest.raises(NotReady):
        stage.deploy("scenario-5", "name=x")
    assert "remove services" in stage.machine.done
    assert stage.machine.world.volumes[x.owner] >= {"postgres", "objects"}


def test_a_folder_that_was_there_before_a_first_deploy_is_not_lost(
    stage: Stage, tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.txt").write_text("mine")
    stage.deployed("scenario-2", "name=y")
    stage.machine.fails("prove", NotReady("no"), at=2)
    for data in ((f"data={tmp_path / 'theirs'}",), ()):
        stage.machine.fails("prove", NotReady("no"))
        with pytest.raises(NotReady):
            stage.deploy("scenario-3b", "name=x", *data)
    assert (tmp_path / "theirs" / "thesis.txt").read_text() == "mine"
    # That of the other stack stays beside the one that went.
    assert [path.name for path in (stage.home.path / "data").iterdir()] == ["y"]


def test_what_ran_without_a_record_is_put_back_too(stage: Stage) -> None:
    """Somebody moved the manifest away, as a damaged one asks for."""
    x = stage.deployed("scenario-3b", "name=x", "workers=2")
    services = dict(stage.runtime.observe(x.stack).services)
    (x.stack.folder / "manifest.json").unlink()
    stage.machine.fails("prove", NotReady("no"))
    with pytest.raises(NotReady, match=r"^no"):
        stage.deploy("scenario-3b", "name=x", "workers=1")
    assert stage.runtime.observe(x.stack).services == services


def test_an_undo_that_fails_too_is_told_and_the_first_failure_raised(stage: Stage) -> None:
    stage.deployed("scenario-3b", "name=x", "workers=2")
    stage.machine.fails("prove", NotReady("it does not answer"))
    stage.machine.fails("recreate tracking", MachineError("the daemon is gone"), at=2)
    with pytest.raises(NotReady, match="it does not answer"):
        stage.deploy("scenario-3b", "name=x", "workers=1")
    assert "that failed too: the daemon is gone; run: stackctl deploy scenario-3b" in stage.told


def test_a_second_ctrl_c_waits_until_what_ran_is_back(stage: Stage) -> None:
    stage.deployed("scenario-3b", "name=x", "workers=2")
    before = stage.now()
    stage.machine.interrupts("prove")
    stage.machine.interrupts("recreate tracking", at=2)
    with pytest.raises(KeyboardInterrupt):
        stage.deploy("scenario-3b", "name=x", "workers=1")
    assert stage.now() == before


def test_a_thread_that_gets_no_signals_undoes_as_well(stage: Stage) -> None:
    stage.machine.fails("prove", NotReady("no"))
    raised: list[BaseException] = []

    def act() -> None:
        try:
            stage.deploy("scenario-3b", "name=x")
        except NotReady as error:
            raised.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    assert [str(error) for error in raised] == ["no"]
    assert nothing(stage)


def test_a_stack_that_is_of_no_use_is_not_called_deployed(stage: Stage) -> None:
    """One that runs, and to which somebody gave another password."""
    x = stage.deployed("scenario-5", "name=x")
    stage.database("x").passwords["postgres_password"] = "another"
    with pytest.raises(NotReady, match="the database refused the password"):
        deploy(replace(x), progress=stage.progress, timeout=1)
    assert stage.machine.done == []


def test_a_secret_that_a_setting_names_is_there_before_anything_begins(stage: Stage) -> None:
    flags = ("name=x", "server.env.HF_TOKEN=secret:hf_token")
    with stage.refuses(2, "/.secrets/x/hf_token: is missing; put the value there"):
        stage.deploy("scenario-3b", *flags)
    steps = look(stage.wanted("scenario-3b", *flags)).plan.steps
    assert [(s.action, s.cause) for s in steps if s.name == "hf_token"] == [
        ("need", "yours to put there: it has no file")
    ]
    external = look(stage.wanted("scenario-5", "name=y", "object_store=external")).plan.steps
    assert {s.name for s in external if s.action == "need"} == {"s3_access_key", "s3_secret_key"}
    assert "postgres_password" in {s.name for s in external if s.action == "generate"}
    stage.home.stack("x").secrets.take("hf_token", "hf-0123456789")
    stage.deploy("scenario-3b", *flags)
    assert "hf_token" in stage.manifest("x").secrets


def test_a_compose_file_of_the_user_s_own_is_read_at_the_deploy(stage: Stage) -> None:
    flags = ("name=x", "extra.compose=my team.yaml")
    with stage.refuses(2, "extra.compose='my team.yaml'", "it cannot be read: No such file"):
        stage.deploy("scenario-3b", *flags)
    own = stage.home.path / "my team.yaml"
    own.write_text("services: {tracking: {cpus: 1.5}}")
    stage.deploy("scenario-3b", *flags)
    copy = stage.home.stack("x").bundle / "compose.override.yaml"
    assert copy.read_text() == own.read_text()
    assert not stage.deploy("scenario-3b", *flags)
    own.write_text("services: {tracking: {cpus: 2}}")
    assert stage.deploy("scenario-3b", *flags)
    # What is done with the data of a stack does not need it.
    own.unlink()
    stage.archived(stage.recorded("x"))
    stage.deploy("scenario-3b", "name=x")
    assert not copy.exists()


# Several servers.

TWO = ("name=x", "replicas=2", "tls=internal", "public_url=https://ml.example.org")


def starts(stage: Stage) -> list[str]:
    """What was done to services, in its order."""
    return [one for one in stage.machine.story if one.partition(" ")[0] in ("create", "recreate")]


def test_the_first_deploy_makes_all_servers(stage: Stage) -> None:
    stage.deploy("scenario-5", *TWO)
    assert starts(stage)[-3:] == ["create tracking", "create tracking-2", "create proxy"]
    assert {s.name for s in stage.runtime.described(stage.home.stack("x"))} >= {"tracking-2"}


def test_servers_that_change_are_replaced_one_after_the_other(stage: Stage) -> None:
    x = stage.deployed("scenario-5", *TWO)
    waited: list[list[str]] = []
    apply = stage.runtime.apply

    def watched(stack: object, services: Sequence[Service], steps: Sequence[Step],
                **how: Any) -> None:  # fmt: skip
        waited.append([step.name for step in steps])
        apply(stack, services, steps, **how)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(stage.runtime), "apply", lambda _self, *a, **how: watched(*a, **how))
        stage.deploy("scenario-5", *TWO, "server.env.A=b")
    assert waited == [["tracking"], ["tracking-2"], []]
    assert x.servers == ["tracking", "tracking-2"]


def test_one_server_that_runs_alone_is_not_waited_for(stage: Stage) -> None:
    """Nothing is gained by keeping the other waiting, which serves nobody."""
    stage.deployed("scenario-5", *TWO)
    stage.goes_down("x", "tracking-2")
    stage.deploy("scenario-5", *TWO, "server.env.A=b")
    assert starts(stage) == ["recreate tracking", "recreate tracking-2"]


def test_fewer_servers_are_fewer_services(stage: Stage) -> None:
    stage.deployed("scenario-5", *TWO)
    stage.deploy("scenario-5", "name=x", "replicas=1", *TWO[2:])
    assert "tracking-2" not in stage.runtime.observe(stage.home.stack("x")).services


@pytest.mark.parametrize(
    ("scenario", "flags", "said"),
    [
        ("scenario-5", ("replicas=2",), "with tls=off it has none"),
        ("scenario-4", ("transfers=direct",), "clients of scenario-4 write to the bucket"),
        ("scenario-3b", ("transfers=direct",), "scenario-3b keeps artifacts in a folder"),
        ("scenario-5", ("transfers=direct",), "reach the object store: --set object_store_port"),
        (
            "scenario-5",
            (
                "transfers=direct",
                "object_store_port=8443",
                "port=8444",
                "tls=internal",
                "public_url=https://ml.example.org:8443",
            ),
            "object_store_port=8443 is the port of public_url; choose another",
        ),
        (
            "scenario-5",
            ("transfers=direct", "object_store_port=5001", "image_flavor=conda"),
            "only images of the flavors slim and user",
        ),
        (
            "scenario-5",
            ("transfers=direct", "object_store_port=5001", "mlflow_version=3.14.0"),
            "mlflow_version is 3.14.0, and MLflow tells its clients of signed addresses since",
        ),
        (
            "scenario-5",
            (
                "transfers=direct",
                "object_store_port=5001",
                "tls=elsewhere",
                "public_url=https://ml.example.org",
            ),
            "a proxy of yours would have to lead to the object store",
        ),
        ("scenario-3b", TWO, "several servers share PostgreSQL or MySQL, and scenario-3b keeps"),
        ("scenario-5", ("replicas=17",), "less than or equal to 16"),
    ],
)
def test_where_there_is_one_server_alone(
    stage: Stage, scenario: str, flags: tuple[str, ...], said: str
) -> None:
    with stage.refuses(2, said):
        stage.deploy(scenario, *flags)
