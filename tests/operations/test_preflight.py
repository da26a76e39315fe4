"""What can be told before anything is started: address, ports, data folder."""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stackctl import scenarios
from stackctl.errors import BadSetting, MachineError, PortTaken, UserError
from stackctl.machine import listen_failure, listener
from stackctl.observed import Observed, ServiceState
from stackctl.operations.preflight import (
    check_address_and_ports,
    check_data_folder,
    refuse_moved_artifacts,
    refuse_others_files,
)
from stackctl.runtimes.base import Obstacle, Runtime
from stackctl.runtimes.embedded.runtime import Embedded
from stackctl.stack import Home, Manifest, Stack
from tests.bundles import bundle, deployment
from tests.disk import full, small_disk

LISTEN = """
import socket, sys
with socket.create_server((sys.argv[1], 0), family=int(sys.argv[2])) as server:
    print(server.getsockname()[1], flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def stranger() -> Iterator[tuple[int, int]]:
    """(port, process id) of another program that listens on 127.0.0.1."""
    process = subprocess.Popen(
        [sys.executable, "-c", LISTEN, "127.0.0.1", str(int(socket.AF_INET))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    yield int(process.stdout.readline()), process.pid
    process.communicate(timeout=30)


def check(
    *flags: str,
    observed: Observed | None = None,
    scenario: str = "scenario-3b",
    runtime: Runtime | None = None,
) -> None:
    """The check of a deploy."""
    one = deployment(Home(Path("/nonexistent")), scenario, *flags, runtime=runtime or Embedded())
    check_address_and_ports(one, bundle(scenario, *flags), observed or Observed())


class Knowing(Embedded):
    """A runtime that knows who publishes every port."""

    def __init__(self, found: Obstacle | None) -> None:
        self.found = found

    def obstacle(self, stack: Stack, address: str, port: int) -> Obstacle | None:
        return self.found


def test_a_free_port_is_accepted(free_port: int) -> None:
    check(f"port={free_port}")


def test_a_taken_port_names_program_and_process(stranger: tuple[int, int]) -> None:
    port, pid = stranger
    with pytest.raises(PortTaken) as error:
        check(f"port={port}")
    assert error.value.exit_code == 3
    assert error.value.port == port
    assert error.value.owner == f"{psutil.Process(pid).name()} (process {pid})"
    assert f"port {port} on 127.0.0.1 is taken by {error.value.owner}; stop it" in str(error.value)
    assert "--set port=PORT" in error.value.hint


def test_a_port_taken_by_a_container_names_it(stranger: tuple[int, int]) -> None:
    with pytest.raises(PortTaken, match=r"taken by stack 'other' \(container x\)"):
        check(
            f"port={stranger[0]}",
            runtime=Knowing(Obstacle("taken", "stack 'other' (container x)")),
        )


def test_the_stacks_own_listener_is_no_obstacle(stranger: tuple[int, int]) -> None:
    port = stranger[0]
    check(f"port={port}", runtime=Knowing(None))
    own = ServiceState("tracking", "running", ports=(f"127.0.0.1:{port}",))
    check(f"port={port}", observed=Observed({"tracking": own}))
    elsewhere = ServiceState("tracking", "running", ports=(f"127.0.0.2:{port}",))
    with pytest.raises(PortTaken):
        check(f"port={port}", observed=Observed({"tracking": elsewhere}))


def test_every_published_port_is_looked_at(stranger: tuple[int, int], free_port: int) -> None:
    flags = (f"port={free_port}", f"artifacts_port={stranger[0]}")
    with pytest.raises(PortTaken, match="--set artifacts_port=PORT"):
        check(*flags, scenario="scenario-6")


@pytest.mark.parametrize("address", ["192.0.2.1", "198.51.100.7", "2001:db8::1"])
def test_an_address_that_is_not_this_machines_is_refused(address: str, free_port: int) -> None:
    with pytest.raises(BadSetting, match="not an address of this machine") as error:
        check(f"bind={address}", "auth=basic", f"port={free_port}")
    assert (error.value.exit_code, error.value.key) == (2, "bind")


def test_a_port_that_was_just_closed_is_free() -> None:
    """One whose last connection is in TIME_WAIT, as after a server was restarted."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()
            assert client.recv(1) == b""
    assert listen_failure("127.0.0.1", port) is None


def test_listener_tells_of_this_very_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listener(port).endswith(f"(process {os.getpid()})")
        assert listen_failure("127.0.0.1", port) == errno.EADDRINUSE
    assert listener(port).startswith("another program")


PRIVILEGED = """
import sys
from stackctl.errors import BadSetting
from stackctl.runtimes.docker.runtime import Docker
from stackctl.runtimes.embedded.runtime import Embedded
from tests.operations.test_preflight import check
try:
    check("port=81", runtime={"docker": Docker, "embedded": Embedded}[sys.argv[1]]())
except BadSetting as error:
    print(error.exit_code, error)
"""


@pytest.mark.parametrize("runtime", ["embedded", "docker"])
def test_a_port_of_root_is_refused_to_others_unless_a_daemon_publishes_it(
    runtime: str, without_privileges: tuple[str, ...]
) -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 81:
        pytest.skip("this machine lets everybody listen on every port")
    done = subprocess.run(
        [*without_privileges, sys.executable, "-c", PRIVILEGED, runtime],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    refusal = "2 setting port=81 (from --set): only root may listen on a port below 1024\n"
    assert (done.stdout, done.stderr) == ("" if runtime == "docker" else refusal, "")


# The data folder.


def test_a_folder_that_is_there_or_can_be_made_is_accepted(tmp_path: Path) -> None:
    check_data_folder(tmp_path)
    check_data_folder(tmp_path / "not" / "yet" / "there")
    assert list(tmp_path.iterdir()) == []


def test_a_file_as_data_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="file is a file; choose another with --set data"):
            check_data_folder(path)


CHECK = """
import sys
from pathlib import Path
from stackctl.errors import StackctlError
from stackctl.operations.preflight import check_data_folder
try:
    check_data_folder(Path(sys.argv[1]))
except StackctlError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("below", ["", "data"])
def test_a_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, below: str, without_privileges: tuple[str, ...]
) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    done = subprocess.run(
        [*without_privileges, sys.executable, "-c", CHECK, str(folder / below)],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert done.stdout == (
        f"UserError data folder {folder / below} cannot be written: Permission denied; "
        "make it yours, or choose another with --set data=DIR\n"
    )


def test_a_full_disk_is_the_machines_fault(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        if not os.path.ismount(disk):
            pytest.skip("filling a disk takes root")
        check_data_folder(disk / "data")
        with full(disk), pytest.raises(MachineError, match="no space left"):
            check_data_folder(disk / "data")


@pytest.mark.parametrize("bad", ["?", "#", "%20"])
def test_data_folder_that_mlflow_would_misread_is_refused(tmp_path: Path, bad: str) -> None:
    with pytest.raises(UserError, match="MLflow cannot use"):
        check_data_folder(tmp_path / f"a{bad}b")
    assert list(tmp_path.iterdir()) == []


def test_data_that_mlflow_does_not_see_may_be_anywhere(tmp_path: Path) -> None:
    check_data_folder(tmp_path / "a?b#c%20", for_mlflow=False)


# Files of others.


@pytest.mark.parametrize("how", ["nothing", "the same", "an older one", "an image's"])
def test_what_stackctl_wrote_may_be_written_again(tmp_path: Path, how: str) -> None:
    files = bundle("scenario-3b").files
    if how == "the same":
        (tmp_path / ".env").write_text(files[".env"][0])
    elif how == "an older one":
        (tmp_path / ".env").write_text("# Rendered by stackctl 0.0\nA=1\n")
    elif how == "an image's":
        (tmp_path / "images" / "mlflow").mkdir(parents=True)
        (tmp_path / "images" / "mlflow" / "uv.lock").write_text("another lock")
    refuse_others_files(tmp_path, bundle("scenario-3b"))


@pytest.mark.parametrize("how", ["text", "bytes", "folder", "link"])
def test_what_somebody_else_wrote_is_not_replaced(tmp_path: Path, how: str) -> None:
    theirs = tmp_path / "compose.yaml"
    if how == "text":
        theirs.write_text("services: {}\n")
    elif how == "bytes":
        theirs.write_bytes(b"\xff\x00")
    elif how == "folder":
        theirs.mkdir()
    else:
        theirs.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"compose\.yaml is there already and was not written by"):
        refuse_others_files(tmp_path, bundle("scenario-3b"))
    assert os.path.lexists(theirs)


# A home that was moved.


@pytest.mark.parametrize(
    ("name", "status", "refused"),
    [
        ("scenario-3b", "2026-11-21T10:00:00", True),
        ("scenario-3b-mysql", "2026-11-21T10:00:00", True),
        ("scenario-3b", "", False),
        ("scenario-5", "2026-11-21T10:00:00", False),
    ],
)
def test_artifacts_that_were_moved_are_refused_while_the_old_path_leads_elsewhere(
    tmp_path: Path, name: str, status: str, refused: bool
) -> None:
    """MLflow keeps the absolute path of each experiment's artifacts."""
    old, new = tmp_path / "it's old", tmp_path / "new"
    stack = Home(new).stack("x")
    (new / "data" / "x").mkdir(parents=True)
    data = "" if name == "scenario-5" else f"{old}/data/x"
    stack.save(Manifest("x", name, "docker", "o", data=data, home=str(old), deployed_at=status))
    if not refused:
        refuse_moved_artifacts(stack, scenarios.load(name))
        return
    with pytest.raises(UserError, match="to the old path") as error:
        refuse_moved_artifacts(stack, scenarios.load(name))
    command = error.value.hint.partition(": ")[2].partition(";")[0]
    subprocess.run(["sh", "-c", command], check=True)
    refuse_moved_artifacts(stack, scenarios.load(name))
