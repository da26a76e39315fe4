"""Ports that nobody but the stack itself uses."""

import os
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from stackctl.errors import MachineError
from stackctl.runtimes.embedded import ports
from stackctl.stack import Home, Manifest, Stack

FIVE = ("postgres", "objects", "bucket", "tracking")


def deployed(home: Home, chosen: dict[str, int]) -> Stack:
    stack = home.stack("one")
    stack.save(Manifest("one", "scenario-5", "embedded", stack.owner, kept={"ports": chosen}))
    return stack


def test_each_listener_has_a_port_of_its_own_and_another_that_belongs_to_it(home: Home) -> None:
    chosen = ports.choose(home.stack("one"), FIVE, (), running=False)
    assert set(chosen) == {"postgres", "objects", "master", "volume", "filer", "admin"}
    all_ports = [*chosen.values(), *(port + ports.SECOND for port in chosen.values())]
    assert len(set(all_ports)) == len(all_ports)
    # Neither those of root nor those that the kernel gives to connections.
    assert all(1024 < port < 32768 for port in all_ports)
    assert ports.choose(home.stack("one"), ("tracking",), (), running=False) == {}


def test_ports_stay_while_they_are_free_or_the_stacks_own(home: Home) -> None:
    chosen = ports.choose(home.stack("one"), FIVE, (), running=False)
    stack = deployed(home, chosen)
    assert ports.choose(stack, FIVE, (), running=False) == chosen
    with socket.create_server(("127.0.0.1", chosen["filer"])):
        assert ports.choose(stack, FIVE, (), running=True) == chosen


@pytest.mark.parametrize("beyond", [0, ports.SECOND])
def test_a_port_that_a_stranger_took_is_replaced_and_the_others_stay(
    home: Home, beyond: int
) -> None:
    chosen = ports.choose(home.stack("one"), FIVE, (), running=False)
    stack = deployed(home, chosen)
    with socket.create_server(("127.0.0.1", chosen["filer"] + beyond)):
        again = ports.choose(stack, FIVE, (), running=False)
    assert {name for name in chosen if again[name] != chosen[name]} == {"filer"}
    assert again["filer"] not in chosen.values()


def test_two_stacks_look_in_different_places(home: Home) -> None:
    found = [ports.choose(home.stack(name), FIVE, (), running=False) for name in ("one", "two")]
    assert not set(found[0].values()) & set(found[1].values())


def test_without_a_free_port_it_says_so(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_FIRST", 10400)
    monkeypatch.setattr(ports, "_LAST", 10402)
    with ExitStack() as stack:
        for port in (10400, 10401 + ports.SECOND):
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
        with pytest.raises(MachineError, match=r"no port from 10400 to 10402 is free"):
            ports.choose(home.stack("one"), ("postgres",), (), running=False)


def test_the_ports_of_clients_are_never_taken_nor_those_whose_second_they_would_be(
    home: Home,
) -> None:
    stack = home.stack("one")
    first = ports.choose(stack, FIVE, (), running=False)
    published = [first["objects"], first["master"] + ports.SECOND]
    again = ports.choose(stack, FIVE, published, running=False)
    assert not {first["objects"], first["master"]} & set(again.values())


@pytest.mark.parametrize("above", [0, ports.SECOND])
def test_a_port_whose_socket_is_another_user_s_is_not_taken(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, above: int
) -> None:
    """Whoever knows the port can have made it; SeaweedFS would wait for five minutes."""
    monkeypatch.setattr(ports, "_SOCKETS", tmp_path)
    before = ports.choose(home.stack("one"), FIVE, (), running=False)
    stack = deployed(home, before)
    (tmp_path / f"seaweedfs-filer-grpc-{before['filer'] + above}.sock").touch()
    # One's own was left by a process that was killed.
    assert ports.choose(stack, FIVE, (), running=False) == before
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    after = ports.choose(stack, FIVE, (), running=False)
    assert {name for name in after if after[name] != before[name]} == {"filer"}
    # Of a stack that runs it is no stranger's.
    assert ports.choose(stack, FIVE, (), running=True) == before
