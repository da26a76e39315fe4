"""Certificate and keys with which SeaweedFS's parts, and nobody else, talk to each other."""

import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest
from cryptography import x509

from stackctl.runtimes.embedded import seaweedfs_security
from stackctl.runtimes.embedded.seaweedfs_security import write

PARTS = {"master", "volume", "filer", "s3", "admin", "worker", "client"}


def context(folder: Path, purpose: ssl.Purpose) -> ssl.SSLContext:
    """One end of a connection as `security.toml` describes both."""
    found = ssl.create_default_context(purpose, cafile=str(folder / "grpc.crt"))
    found.verify_mode = ssl.CERT_REQUIRED
    found.load_cert_chain(folder / "grpc.crt", folder / "grpc.key")
    return found


def shake_hands(server: Path, client: Path, address: str) -> None:
    """A TLS connection in which both ends prove who they are."""
    failures: list[Exception] = []

    def serve() -> None:
        try:
            with context(server, ssl.Purpose.CLIENT_AUTH).wrap_socket(left, server_side=True) as s:
                s.recv(1)
        except OSError as error:
            failures.append(error)

    left, right = socket.socketpair()
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        asked = context(client, ssl.Purpose.SERVER_AUTH)
        with asked.wrap_socket(right, server_hostname=address) as connection:
            connection.sendall(b"x")
    finally:
        right.close()
        thread.join()
        left.close()
    if failures:
        raise failures[0]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1"])
def test_both_ends_accept_each_other_at_the_address(tmp_path: Path, address: str) -> None:
    write(tmp_path, address)
    shake_hands(tmp_path, tmp_path, address)


def test_at_another_address_it_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        shake_hands(tmp_path, tmp_path, "127.0.0.2")


def test_the_certificate_of_another_stack_is_refused(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, "127.0.0.1")
    with pytest.raises(ssl.SSLError):
        shake_hands(tmp_path / "ours", tmp_path / "theirs", "127.0.0.1")


def test_every_part_uses_it_and_asks_for_it(tmp_path: Path) -> None:
    write(tmp_path, "127.0.0.1")
    grpc = tomllib.loads((tmp_path / "security.toml").read_text())["grpc"]
    assert grpc.pop("ca") == "grpc.crt"
    assert set(grpc) >= PARTS
    assert all(part == {"cert": "grpc.crt", "key": "grpc.key"} for part in grpc.values())


def test_tokens_are_signed_with_keys_that_nobody_can_guess(tmp_path: Path) -> None:
    keys = set()
    for _ in range(2):
        write(tmp_path, "127.0.0.1")
        signing = tomllib.loads((tmp_path / "security.toml").read_text())["jwt"]["signing"]
        keys |= {signing["key"], signing["read"]["key"]}
    assert len(keys) == 4
    assert all(len(key) >= 32 for key in keys)


def test_the_files_are_of_their_owner_alone_whatever_was_there(tmp_path: Path) -> None:
    for name in ("grpc.crt", "grpc.key", "security.toml"):
        (tmp_path / name).write_text("old")
        (tmp_path / name).chmod(0o666)
    before = os.umask(0)
    try:
        write(tmp_path, "127.0.0.1")
    finally:
        os.umask(before)
    assert {p.name for p in tmp_path.iterdir()} == {"grpc.crt", "grpc.key", "security.toml"}
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text() != "old"


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep me")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "grpc.key").symlink_to(tmp_path / "precious")
    write(tmp_path / "run", "127.0.0.1")
    assert (tmp_path / "precious").read_text() == "keep me"


def test_it_is_made_anew_at_each_start_in_the_current_folder(tmp_path: Path) -> None:
    serials = set()
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-P", "-m", seaweedfs_security.__name__, "127.0.0.1"],
            cwd=tmp_path, check=True, timeout=60,
        )  # fmt: skip
        found = x509.load_pem_x509_certificate((tmp_path / "grpc.crt").read_bytes())
        serials.add(found.serial_number)
    assert len(serials) == 2
