"""A port that is held: for its stack, and for nobody else."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from stackctl import machine
from stackctl.errors import MachineError
from stackctl.machine import listen_failure, reserve


@pytest.fixture
def held() -> Iterator[socket.socket]:
    with reserve() as held:
        yield held


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_server_may_listen_on_it(held: socket.socket, address: str) -> None:
    port = held.getsockname()[1]
    assert listen_failure(address, port) is None
    with socket.create_server((address, port)):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_whoever_else_chooses_passes_over_it(held: socket.socket) -> None:
    port = held.getsockname()[1]
    binds = f"import socket; socket.socket().bind(('127.0.0.1', {port}))"
    done = subprocess.run([sys.executable, "-c", binds], capture_output=True, text=True)
    assert "Address already in use" in done.stderr


def test_what_is_held_or_listened_on_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
        free = stack.enter_context(reserve())
        first = free.getsockname()[1]
        free.close()
        monkeypatch.setattr(machine, "PORTS", [listening, first])
        assert stack.enter_context(reserve()).getsockname()[1] == first
        with pytest.raises(MachineError, match="is free"):
            reserve()


def test_killed_session_holds_nothing() -> None:
    holds = (
        "import os; from stackctl.machine import reserve; held = reserve();"
        "print(held.getsockname()[1], flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", holds], capture_output=True, text=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", int(done.stdout)))
