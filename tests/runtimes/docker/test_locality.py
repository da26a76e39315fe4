"""Which Docker daemons are on this machine, by what they say of themselves."""

import os
from pathlib import Path

import pytest

from stackctl.errors import UserError
from stackctl.runtimes.docker import locality
from stackctl.runtimes.docker.locality import refuse_remote
from stackctl.runtimes.docker.runtime import Docker

SOCKET = "unix:///var/run/docker.sock"


@pytest.fixture
def info() -> dict[str, object]:
    """What a daemon of this machine says."""
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "Name": os.uname().nodename,
        "KernelVersion": os.uname().release,
        "MemTotal": int(memory) * 1024,
        "OperatingSystem": "Debian GNU/Linux 13 (trixie)",
    }


@pytest.mark.parametrize("endpoint", [SOCKET, "tcp://127.0.0.1:2375"])
def test_one_of_this_machine_is_taken_however_it_is_reached(
    info: dict[str, object], endpoint: str
) -> None:
    refuse_remote(endpoint, info)


@pytest.mark.parametrize("endpoint", [SOCKET, "tcp://build:2376", "ssh://ada@build"])
@pytest.mark.parametrize(
    ("what", "value"),
    [("Name", "build"), ("KernelVersion", "6.0.0-other"), ("MemTotal", 1 << 30), ("Name", None)],
)
def test_one_of_another_machine_is_refused_however_it_is_reached(
    info: dict[str, object], endpoint: str, what: str, value: object
) -> None:
    with pytest.raises(UserError) as refusal:
        refuse_remote(endpoint, {**info, what: value})
    assert f"the Docker daemon at {endpoint} is on another machine" in refusal.value.message
    assert f" {value}, not {info[what]}" in refusal.value.message
    assert "\n" not in refusal.value.message


def test_ssh_leads_elsewhere_and_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://ada@build")
    with pytest.raises(UserError, match="at ssh://ada@build is on another machine; run stackctl"):
        Docker().check()


@pytest.mark.parametrize(
    ("system", "name"),
    [("Docker Desktop", "docker-desktop"), ("OrbStack", "orbstack"), ("Ubuntu 24.04", "colima")],
)
def test_a_virtual_machine_of_this_machine_has_its_folders(
    info: dict[str, object], system: str, name: str
) -> None:
    said = {**info, "OperatingSystem": system, "Name": name, "MemTotal": 1, "KernelVersion": "6"}
    refuse_remote("unix:///home/ada/.docker/desktop/docker.sock", said)
    with pytest.raises(UserError):
        refuse_remote("tcp://build:2375", said)


@pytest.mark.parametrize("endpoint", [SOCKET, "tcp://build:2376"])
def test_a_machine_without_linux_compares_what_it_knows(
    info: dict[str, object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, endpoint: str
) -> None:
    monkeypatch.setattr(locality, "_MEMINFO", tmp_path / "meminfo")
    refuse_remote(endpoint, {**info, "MemTotal": 1})
    with pytest.raises(
        UserError, match=r"on another machine \(host name build, not [^;]*\), where"
    ):
        refuse_remote(endpoint, {**info, "Name": "build", "MemTotal": 1})
