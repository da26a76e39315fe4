"""Secrets: generated well, kept well, refused with the reason and never with the value."""

import copy
import json
import math
import os
import pickle
import re
import stat
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackctl.errors import BadSecret, MachineError
from stackctl.secrets import (
    RedactingEncoder,
    Secret,
    SecretFolder,
    placeholders,
    redact,
)
from stackctl.secrets.rules import rule
from stackctl.secrets.value import forms
from tests.disk import full, small_disk

ALL = ["admin_password", "ca_certificate", "ca_key", "database_client_certificate",
       "database_client_key", "database_password", "flask_secret_key", "gateway_passphrase",
       "mysql_password", "mysql_root_password", "oidc_client_secret", "postgres_password",
       "s3_access_key", "s3_secret_key", "tls_certificate", "tls_key", "webhook_key"]  # fmt: skip
MADE = [name for name in ALL if not rule(name).given]
VALUE = "hunter2-hunter2-Ω"


@pytest.fixture
def folder(tmp_path: Path) -> SecretFolder:
    """The secrets of one stack, none made yet."""
    return SecretFolder(tmp_path / ".secrets" / "one")


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=lambda mask: f"umask {mask:03o}")
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """A umask that is put back."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def put(folder: SecretFolder, name: str, content: bytes, mode: int = 0o600) -> Path:
    """A secret's file, as a user might have made it."""
    folder.path.parent.mkdir(mode=0o700, exist_ok=True)
    folder.path.mkdir(mode=0o700, exist_ok=True)
    path = folder.path / name
    path.write_bytes(content)
    path.chmod(mode)
    return path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# Generating.


@pytest.mark.parametrize("name", [name for name in MADE if not rule(name).lines])
def test_a_generated_value_is_url_safe_random_and_accepted(name: str, folder: SecretFolder) -> None:
    values = {rule(name).generate() for _ in range(200)}
    assert len(values) == 200
    alphabet = 16 if name == "s3_access_key" else 64
    for value in values:
        # Padding is a part of a Fernet key, which is in no URL.
        assert re.fullmatch(r"[A-Za-z0-9_-]+=?", value)
        assert len(value) * math.log2(alphabet) >= 128
    put(folder, name, min(values).encode())
    assert folder.read(name).reveal() == min(values)


@pytest.mark.usefixtures("umask")
def test_files_are_0600_in_0700_folders_whatever_the_umask(folder: SecretFolder) -> None:
    assert folder.ensure(MADE) == MADE
    assert mode_of(folder.path.parent) == mode_of(folder.path) == 0o700
    assert {mode_of(folder.path / name) for name in MADE} == {0o600}


def test_what_is_there_is_kept(folder: SecretFolder) -> None:
    put(folder, "mysql_password", VALUE.encode())
    assert folder.ensure(["mysql_password", "s3_access_key"]) == ["s3_access_key"]
    assert folder.read("mysql_password").reveal() == VALUE
    made = (folder.path / "s3_access_key").read_bytes()
    assert folder.ensure(["mysql_password", "s3_access_key"]) == []
    assert (folder.path / "s3_access_key").read_bytes() == made


def test_every_kind_of_secret_has_a_placeholder() -> None:
    assert sorted(placeholders()) == ALL


# Refusing.


def refused(folder: SecretFolder, name: str, reason: str, value: str = VALUE) -> BadSecret:
    """Read, and hold what every refusal must hold."""
    before = tree(folder.path.parent.parent)
    with pytest.raises(BadSecret, match=reason) as error:
        folder.read(name)
    assert error.value.exit_code == 2
    told = "".join(traceback.format_exception(error.value))
    assert value not in told
    assert "\n" not in str(error.value)
    assert error.value.hint
    with pytest.raises(BadSecret):
        folder.ensure([name, "another"])
    assert tree(folder.path.parent.parent) == before
    return error.value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"   ", "is empty"),
        (b"\n", "is empty"),
        (f"{VALUE}\n".encode(), "ends with a newline"),
        (f"{VALUE}\r\n".encode(), "ends with a newline"),
        (f"{VALUE}\0".encode(), "has control characters"),
        (f"{VALUE}\n{VALUE}".encode(), "has control characters"),
        (VALUE.encode("utf-16"), "is not UTF-8"),
        (b"\xff\xfe\xfd", "is not UTF-8"),
    ],
)
def test_bad_content_is_refused(folder: SecretFolder, content: bytes, reason: str) -> None:
    put(folder, "postgres_password", content)
    refused(folder, "postgres_password", reason)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("s3_access_key", "ab", "access key has 3 to 128"),
        ("s3_access_key", "has space", "access key has 3 to 128"),
        ("s3_access_key", "k" * 129, "access key has 3 to 128"),
        ("s3_secret_key", "2short!", "secret key has 8 or more ASCII"),
        ("s3_secret_key", "größer-als-acht", "secret key has 8 or more ASCII"),
    ],
)
def test_an_s3_key_that_no_store_takes_is_refused(
    folder: SecretFolder, name: str, value: str, reason: str
) -> None:
    put(folder, name, value.encode())
    refused(folder, name, reason, value)


@pytest.mark.parametrize("placeholder", ALL)
def test_each_placeholder_is_refused_by_name_for_any_secret(
    folder: SecretFolder, placeholder: str
) -> None:
    text = placeholders()[placeholder]
    put(folder, "mysql_password", text.encode())
    refused(folder, "mysql_password", rf"placeholder of \.secrets\.example/{placeholder}$|"
            rf"placeholder of \.secrets\.example/{placeholder};", text)  # fmt: skip


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o606, 0o610])
def test_a_file_that_others_may_read_is_refused(folder: SecretFolder, mode: int) -> None:
    path = put(folder, "postgres_password", VALUE.encode(), mode)
    error = refused(folder, "postgres_password", rf"others can read it \(mode {mode:04o}\)")
    assert error.hint == f"run: chmod 600 '{path}'"
    path.chmod(0o600)
    assert folder.read("postgres_password").reveal() == VALUE


@pytest.mark.parametrize("which", [".secrets", "one"])
@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701, 0o777])
def test_a_folder_that_others_may_enter_is_refused(
    folder: SecretFolder, which: str, mode: int
) -> None:
    put(folder, "postgres_password", VALUE.encode())
    target = folder.path if which == "one" else folder.path.parent
    target.chmod(mode)
    refused(folder, "postgres_password", rf"{target}: others can read it \(mode {mode:04o}\)")
    target.chmod(0o700)
    assert folder.read("postgres_password").reveal() == VALUE


@pytest.mark.parametrize("which", [".secrets", "one"])
def test_a_folder_that_is_a_symlink_is_refused(
    folder: SecretFolder, which: str, tmp_path: Path
) -> None:
    elsewhere = SecretFolder(tmp_path / "elsewhere" / "one")
    put(elsewhere, "postgres_password", VALUE.encode())
    if which == "one":
        folder.path.parent.mkdir(mode=0o700)
        folder.path.symlink_to(elsewhere.path)
    else:
        folder.path.parent.symlink_to(elsewhere.path.parent)
    refused(folder, "postgres_password", "is a symbolic link")
    with pytest.raises(BadSecret):
        folder.delete()
    assert elsewhere.read("postgres_password").reveal() == VALUE
    assert folder.values() == [] or which == ".secrets"


def test_a_folder_that_is_a_file_is_refused(folder: SecretFolder) -> None:
    folder.path.parent.write_text("")
    refused(folder, "postgres_password", "is not a folder")


def test_a_secret_that_is_a_symlink_is_refused(folder: SecretFolder, tmp_path: Path) -> None:
    (tmp_path / "target").write_text(VALUE)
    (tmp_path / "target").chmod(0o600)
    put(folder, "other", b"x" * 8)
    (folder.path / "postgres_password").symlink_to(tmp_path / "target")
    refused(folder, "postgres_password", "cannot be opened")
    assert VALUE not in folder.values()


def test_a_dangling_symlink_is_not_written_through(folder: SecretFolder, tmp_path: Path) -> None:
    put(folder, "other", b"x" * 8)
    (folder.path / "postgres_password").symlink_to(tmp_path / "target")
    refused(folder, "postgres_password", "cannot be opened|is missing")
    assert not (tmp_path / "target").exists()


def test_a_secret_that_is_a_folder_is_refused(folder: SecretFolder) -> None:
    put(folder, "other", b"x" * 8)
    (folder.path / "postgres_password").mkdir(mode=0o700)
    refused(folder, "postgres_password", "is not a plain file")


def test_a_secret_that_is_a_pipe_is_refused_and_not_waited_for(folder: SecretFolder) -> None:
    put(folder, "other", b"x" * 8)
    os.mkfifo(folder.path / "postgres_password", 0o600)
    refused(folder, "postgres_password", "is not a plain file")


def test_a_missing_secret_says_how_to_make_it(folder: SecretFolder) -> None:
    with pytest.raises(BadSecret, match="is missing; put the value there") as error:
        folder.read("postgres_password")
    assert str(folder.path / "postgres_password") in str(error.value)


@pytest.mark.parametrize(
    "value", ["p@s:s/%#?&'\"$w", "größe-東京-😀", "  spaces inside  x", "$HOME`id`\\n", "-n"]
)
def test_a_password_of_any_printable_characters_is_taken_as_it_is(
    folder: SecretFolder, value: str
) -> None:
    put(folder, "postgres_password", value.encode())
    assert folder.read("postgres_password").reveal() == value


# Telling.


def test_states_tell_everything_but_the_value(tmp_path: Path) -> None:
    folder = SecretFolder(tmp_path / "a: b" / ".secrets" / "one")
    folder.path.parent.parent.mkdir()
    put(folder, "postgres_password", VALUE.encode())
    put(folder, "mysql_password", f"{VALUE}\n".encode(), 0o644)
    states = {s.name: s for s in folder.states(["postgres_password", "mysql_password", "none"])}
    good, bad, none = states.values()
    assert (good.present, good.mode, good.problem) == (True, "0600", "")
    assert (bad.present, bad.mode, bad.problem) == (
        True,
        "0644",
        "others can read it (mode 0644)",
    )
    assert (none.present, none.mode, none.changed, none.problem) == (False, "", None, "missing")
    assert VALUE not in repr(states)


def test_redact_takes_the_longest_value_first() -> None:
    assert redact("abcdef abc", ["abc", "abcdef"]) == "[redacted] [redacted]"


def test_values_are_those_of_every_file(folder: SecretFolder) -> None:
    folder.ensure(MADE)
    given = [folder.read(name).reveal() for name in MADE]
    # Also as they stand in an address and in a file of configparser's.
    assert sorted(folder.values()) == sorted(form for value in given for form in forms(value))
    assert set(given) < set(folder.values())
    assert SecretFolder(folder.path / "none").values() == []


@pytest.mark.parametrize(
    ("name", "value"), [("admin_password", "short"), ("webhook_key", "none"), ("other", "a\nb")]
)
def test_a_value_that_no_service_takes_is_not_taken(
    folder: SecretFolder, name: str, value: str
) -> None:
    with pytest.raises(BadSecret) as refusal:
        folder.take(name, value)
    assert value not in str(refusal.value).replace("'VALUE'", "")
    assert not folder.path.exists()


# The type.


def test_a_secret_never_shows_itself() -> None:
    secret = Secret("postgres_password", VALUE)
    shown = [
        str(secret), repr(secret), f"{secret}", f"{secret!r}", f"{secret:>60}", "%s" % secret,  # noqa: UP031
        "{:s}".format(secret), str([secret]), str({"a": secret}),  # noqa: UP032
        json.dumps({"a": [secret]}, cls=RedactingEncoder),
    ]  # fmt: skip
    for text in shown:
        assert VALUE not in text
        assert "postgres_password" in text
    with pytest.raises(TypeError) as plain_json:
        json.dumps(secret)
    assert VALUE not in str(plain_json.value)
    try:
        raise ValueError(secret)
    except ValueError as error:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        assert VALUE not in "".join(told.format())
    assert not hasattr(secret, "__dict__")
    assert secret.reveal() == VALUE


@pytest.mark.parametrize("copier", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_cannot_be_copied_out(copier: object) -> None:
    assert callable(copier)
    with pytest.raises(TypeError, match="cannot be copied out of its process") as error:
        copier(Secret("postgres_password", VALUE))
    assert VALUE not in str(error.value)


def test_secrets_compare_by_value() -> None:
    assert Secret("a", VALUE) == Secret("b", VALUE)
    assert Secret("a", VALUE) != Secret("a", "other")
    assert Secret("a", VALUE) != VALUE


# A full disk, and deleting.


def test_a_full_disk_leaves_no_half_file(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        folder = SecretFolder(disk / ".secrets" / "one")
        put(folder, "mysql_password", VALUE.encode())
        with full(disk), pytest.raises(MachineError, match="cannot be written to") as error:
            folder.ensure(["mysql_password", "postgres_password"])
        assert error.value.exit_code == 3
        assert tree(folder.path) == ["mysql_password"]
        assert folder.read("mysql_password").reveal() == VALUE
        assert folder.ensure(["postgres_password"]) == ["postgres_password"]


def test_a_derived_file_is_replaced_with_the_same_rights(folder: SecretFolder) -> None:
    folder.ensure(["s3_access_key"])
    for text in ("one", "two"):
        folder.write("aws_credentials", text)
        assert (folder.path / "aws_credentials").read_text() == text
        assert mode_of(folder.path / "aws_credentials") == 0o600


def test_delete_takes_the_stacks_secrets_and_no_others(folder: SecretFolder) -> None:
    other = SecretFolder(folder.path.with_name("two"))
    folder.ensure(MADE)
    other.ensure(MADE)
    folder.delete()
    assert not folder.path.exists()
    assert sorted(tree(other.path)) == MADE
    other.delete()
    assert not folder.path.parent.exists()
    other.delete()


def test_forget_takes_one_secret_and_then_the_empty_folders(folder: SecretFolder) -> None:
    folder.ensure(["mysql_password", "s3_secret_key"])
    folder.forget("mysql_password")
    assert tree(folder.path) == ["s3_secret_key"]
    folder.forget("s3_secret_key")
    assert not folder.path.parent.exists()


@pytest.mark.parametrize(
    "written",
    [
        "p@ss/w%rd'ü",
        "p%40ss%2Fw%25rd%27%C3%BC",
        "p%%40ss%%2Fw%%25rd%%27%%C3%%BC",
        "p@ss/w%rd'\\u00fc",
    ],
)
def test_a_secret_is_redacted_however_it_is_written(tmp_path: Path, written: str) -> None:
    folder = SecretFolder(tmp_path / ".secrets" / "x")
    folder.path.mkdir(parents=True, mode=0o700)
    (folder.path / "postgres_password").write_text("p@ss/w%rd'ü")
    text = redact(f"cannot connect to postgresql://mlflow:{written}@postgres", folder.values())
    assert text == "cannot connect to postgresql://mlflow:[redacted]@postgres"
