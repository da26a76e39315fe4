"""One service and its guard: what belongs together starts, stops and ends together."""

import os
import pwd
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.driving import until
from tests.embedded.stage import Stage

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root acts as another user")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="guards need Linux")

# Ends with 7 at an interrupt. A shell would not do: bash passes over an interrupt that comes
# while a program of its own runs, and over any signal in the moment before it waits.
LISTENER = """
import os, pathlib, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
stage = pathlib.Path(os.environ["STAGE"])
(stage / "up").touch()
signal.sigwait([signal.SIGINT])
(stage / "heard").write_text("INT")
raise SystemExit(7)
"""


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Below a folder that every user can enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        made = Stage(Path(root), Path(root) / "my stäck")
        yield made
        made.clear()


def end_of(process: "subprocess.Popen[str]", seconds: float = 10) -> tuple[int, str]:
    """Exit code and output of a guard that ends."""
    output, _ = process.communicate(timeout=seconds)
    return process.returncode, output


# The end of a service.


def test_descendants_end_with_the_service(stage: Stage) -> None:
    stage.service("a", """
        sleep 1001 &
        setsid sleep 1002 &
        (setsid bash -c 'sleep 1003 & exec sleep 1004' &)
        exec sleep 1000""")  # fmt: skip
    with stage.guarded("a") as guard:
        until(lambda: len(stage.of("a")) == 5, seconds=5, what="five processes")
        os.kill(stage.main("a"), signal.SIGKILL)
        assert end_of(guard)[0] == 128 + signal.SIGKILL
        assert stage.ended()


def test_descendants_that_do_not_listen_are_killed(stage: Stage) -> None:
    stage.service("a", "(trap '' TERM INT HUP; sleep 1001; sleep 1002) & exec sleep 1000")
    with stage.guarded("a") as guard:
        until(lambda: len(stage.of("a")) == 3, seconds=5, what="three processes")
        guard.terminate()
        assert end_of(guard)[0] == 0
        assert stage.ended()


def test_a_service_that_ends_by_itself_passes_its_exit_code_on(stage: Stage) -> None:
    stage.service("a", "echo said; exit 3")
    with stage.guarded("a") as guard:
        assert end_of(guard) == (3, "said\nstackctl: a ended (3)\n")


def test_a_program_that_is_not_there_is_named(stage: Stage) -> None:
    stage.service("a", command=["/nonexistent/program"])
    with stage.guarded("a") as guard:
        code, output = end_of(guard)
    assert code == 127
    assert output.startswith("stackctl: /nonexistent/program cannot be started: ")


def test_a_service_is_stopped_with_its_own_signal(stage: Stage) -> None:
    stage.service("a", command=[sys.executable, "-c", LISTENER], stop_signal="SIGINT")
    with stage.guarded("a") as guard:
        until((stage.root / "up").exists, seconds=30, what="the listener")
        guard.terminate()
        assert end_of(guard)[0] == 7
    assert stage.told("heard") == ["INT"]


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_service_that_ignores_its_signal_is_killed_in_the_end(
    stage: Stage, asked: signal.Signals
) -> None:
    script = "trap 'echo TERM >> $STAGE/heard' TERM; echo > $STAGE/up; while :; do sleep 0.02; done"
    stage.service("a", script, stop_seconds=1)
    with stage.guarded("a") as guard:
        until(lambda: (stage.root / "up").exists(), seconds=5, what="the trap")
        begin = time.monotonic()
        guard.send_signal(asked)
        assert end_of(guard)[0] == 0
        assert 1 <= time.monotonic() - begin < 4
    assert stage.told("heard") == ["TERM"]
    assert stage.ended()


def test_a_guard_that_is_killed_takes_its_service_along(stage: Stage) -> None:
    stage.service("a", command=[sys.executable, "-c", LISTENER], stop_signal="SIGINT")
    with stage.guarded("a") as guard:
        until((stage.root / "up").exists, seconds=30, what="the listener")
        guard.kill()
        until(stage.ended, seconds=5, what="the end of the service")
    assert stage.told("heard") == ["INT"]


# What a service is started with.


def test_a_service_gets_nothing_of_the_environment_of_whoever_deploys(stage: Stage) -> None:
    secret = str(stage.root / "secret")
    stage.service("a", command=["env", "-0"], secrets={"X_FILE": secret})
    with stage.guarded("a") as guard:
        code, output = end_of(guard)
    assert code == 0
    told = dict(entry.split("=", 1) for entry in output.split("\0")[:-1])
    folder = str(stage.run / "a")
    assert told == {"HOME": folder, "TMPDIR": folder, "PATH": os.defpath, "STAGE": str(stage.root),
                    "X_FILE": secret}  # fmt: skip


def test_a_service_has_a_folder_of_its_own_and_a_terminal_of_nobody(stage: Stage) -> None:
    stage.service(
        "a", "pwd > $STAGE/pwd; ps -o sid= -p $$ > $STAGE/session; echo $$ >> $STAGE/session"
    )
    with stage.guarded("a") as guard:
        assert end_of(guard)[0] == 0
    assert (stage.root / "pwd").read_text() == f"{stage.run}/a\n"
    assert stat.S_IMODE((stage.run / "a").stat().st_mode) == 0o700
    session, process = stage.told("session")
    assert session == process


@pytest.mark.parametrize(("described", "mode"), [({}, 0o600), ({"umask": 0o022}, 0o644)])
def test_files_are_of_the_service_alone_unless_it_says_otherwise(
    stage: Stage, described: dict[str, int], mode: int
) -> None:
    stage.service("a", "echo > $STAGE/file", **described)
    with stage.guarded("a") as guard:
        assert end_of(guard)[0] == 0
    assert stat.S_IMODE((stage.root / "file").stat().st_mode) == mode


def test_no_signal_is_blocked_for_a_service(stage: Stage) -> None:
    stage.service("a", "grep SigBlk /proc/self/status > $STAGE/blocked")
    with stage.guarded("a") as guard:
        assert end_of(guard)[0] == 0
    assert stage.told("blocked") == ["SigBlk:", "0" * 16]


def test_what_runs_is_written_down(stage: Stage) -> None:
    stage.service("a", "echo $$ >> $STAGE/process; exit 1", digest="abc")
    for starts in (1, 2):
        with stage.guarded("a") as guard:
            assert end_of(guard)[0] == 1
        note = stage.note("a")
        assert (note["digest"], note["starts"]) == ("abc", starts)
        assert str(note["pid"]) == stage.told("process")[-1]


@as_root
def test_a_service_of_another_user_reads_its_secrets_and_its_script_from_memory(
    stage: Stage,
) -> None:
    nobody = pwd.getpwnam("nobody")
    secret = stage.root / "secrets" / "password"
    secret.parent.mkdir(mode=0o700)
    secret.write_text("größe $x\n")
    secret.chmod(0o600)
    folder = stage.root / "of nobody"
    folder.mkdir(mode=0o700)
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    stage.service("a", command=["bash", "./entrypoints/a.sh"], user="nobody", folder=str(folder),
                  secrets={"PASSWORD_FILE": str(secret)}, in_memory=["ACCOUNTS"])  # fmt: skip
    script = stage.folder / "bundle" / "entrypoints" / "a.sh"
    script.parent.mkdir()
    script.write_text(
        "{ id -u; id -G; } > told\n"
        'for again in 1 2; do cat "$PASSWORD_FILE" >> told; done\n'
        f"cat '{secret}' 2>> told\n"
        'echo kept > "$ACCOUNTS"; cat "$ACCOUNTS" >> told\n'
    )
    stage.folder.chmod(0o700)
    with stage.guarded("a") as guard:
        assert end_of(guard)[0] == 0
    told = (folder / "told").read_text().splitlines()
    assert told == [
        str(nobody.pw_uid), str(nobody.pw_gid), "größe $x", "größe $x",
        f"cat: {secret}: Permission denied", "kept",
    ]  # fmt: skip
    assert [path.name for path in folder.iterdir()] == ["told"]


@as_root
def test_a_service_of_another_user_ends_with_its_guard_too(stage: Stage) -> None:
    """The kernel forgets on a change of user whom a process is to die with."""
    folder = stage.root / "a"
    folder.mkdir(mode=0o700)
    os.chown(folder, pwd.getpwnam("nobody").pw_uid, 0)
    stage.service("a", user="nobody", folder=str(folder))
    with stage.guarded("a") as guard:
        stage.main("a")
        guard.kill()
        until(stage.ended, seconds=5, what="the end of the service")


# Dependencies.


def test_a_service_starts_only_when_those_it_needs_are_ready(stage: Stage) -> None:
    ready = {"command": ["test", "-e", str(stage.root / "ready")]}
    stage.service("a", ready=ready)
    stage.service("b", after=["a"])
    with stage.guarded("b") as guard:
        assert guard.stdout is not None
        assert guard.stdout.readline() == "stackctl: waiting for a\n"
        time.sleep(0.5)
        assert stage.note("b") == {}
        (stage.root / "ready").touch()
        stage.main("b")


def test_a_guard_that_waits_can_be_stopped(stage: Stage) -> None:
    stage.service("a", ready={"command": ["false"]})
    stage.service("b", after=["a"])
    with stage.guarded("b") as guard:
        assert guard.stdout is not None
        guard.stdout.readline()
        guard.terminate()
        assert end_of(guard, seconds=3)[0] == 0
    assert stage.note("b") == {}


# Waits where `$STACKCTL_DOOR` says.
WAITS = "echo > $STAGE/up; cat <&$STACKCTL_DOOR; echo > $STAGE/on; exec sleep 1000"


def test_a_service_that_starts_early_goes_on_only_when_those_it_needs_are_ready(
    stage: Stage,
) -> None:
    ready = {"command": ["test", "-e", str(stage.root / "ready")]}
    stage.service("a", ready=ready)
    stage.service("b", WAITS, after=["a"], early=True)
    with stage.guarded("b"):
        until(lambda: (stage.root / "up").exists(), seconds=5, what="the early start")
        time.sleep(0.5)
        assert not (stage.root / "on").exists()
        (stage.root / "ready").touch()
        until(lambda: (stage.root / "on").exists(), seconds=5, what="the open door")


def test_a_service_that_starts_early_can_be_stopped_before_it_goes_on(stage: Stage) -> None:
    stage.service("a", ready={"command": ["false"]})
    stage.service("b", WAITS, after=["a"], early=True)
    with stage.guarded("b") as guard:
        until(lambda: (stage.root / "up").exists(), seconds=5, what="the early start")
        guard.terminate()
        assert end_of(guard, seconds=3)[0] == 0
    assert stage.ended()
    assert not (stage.root / "on").exists()


# What Linux offers.


def test_who_is_to_die_with_somebody_who_is_dead_ends_at_once() -> None:
    source = (
        "import os, signal; from stackctl.runtimes.embedded.linux import die_with;"
        "die_with(os.getppid(), signal.SIGTERM); print('alive', flush=True);"
        "die_with(os.getppid() + 1, signal.SIGTERM); print('too long')"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "alive\n", "")


def test_every_child_that_ended_is_told_with_its_exit_code() -> None:
    source = (
        "import subprocess as s;"
        "from stackctl.runtimes.embedded.linux import end_descendants, reap;"
        "three = s.Popen(['sh', '-c', 'exit 3']); nine = s.Popen(['sh', '-c', 'kill -9 $$']);"
        "stays = s.Popen(['sleep', '1000']); found = {};\n"
        "while len(found) < 2: found |= reap()\n"
        "assert found == {three.pid: 3, nine.pid: -9}, found\n"
        "end_descendants(); assert reap() == {}; print('none left')"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("none left\n", "")
