"""Who may use a stack: what is refused before its server is asked."""

import json
from pathlib import Path

import pytest

from stackctl.errors import UserError
from stackctl.operations.login_server import LoginServer
from stackctl.operations.roles import Roles
from stackctl.operations.users import People, new_password
from stackctl.proof.roundtrip import RoundTrip, RoundTripError
from stackctl.secrets.rules import rule
from tests.conftest import Call
from tests.operations.stage import Stage

GOOD = "a password of 12 or more"


@pytest.fixture
def people(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> People:
    """Those of a stack `x`, whose server must not be asked."""

    def never(*_: object) -> bytes:
        raise AssertionError("the server is asked")

    monkeypatch.setattr(RoundTrip, "request", never)
    return People(LoginServer(stage.deployed("scenario-5", "name=x", "auth=basic")))


def test_a_stack_without_a_login_has_no_users(stage: Stage) -> None:
    x = stage.deployed("scenario-5", "name=x")
    with stage.refuses(2, "stack 'x' has no users: auth=none", "--set auth=basic"):
        LoginServer(x)


@pytest.mark.parametrize(
    "name", ["", "a b", "a:b", "a\nb", "x" * 256, " a", "a\0", "a\u200bb", "\u202eevil", "\udcff"]
)
def test_a_name_is_one_that_a_login_can_send(stage: Stage, people: People, name: str) -> None:
    with stage.refuses(2, "can be no user's name"):
        people.add(name, GOOD)


@pytest.mark.parametrize("password", ["", "short", "x" * 11, "pässword of 12"])
def test_a_password_is_one_that_mlflow_takes(stage: Stage, people: People, password: str) -> None:
    with stage.refuses(2, "the password cannot be used") as refusal:
        people.add("ada", password)
    assert not password or password not in str(refusal.value)
    with stage.refuses(2, "the password cannot be used"):
        people.change("ada", password)


def test_what_is_made_is_good_and_another_each_time() -> None:
    assert rule("admin_password").problem(new_password()) == ""
    assert new_password() != new_password()


def test_the_stack_s_own_administrator_stays(stage: Stage, people: People) -> None:
    with stage.refuses(2, "admin stays: stackctl acts as it"):
        people.remove("admin")
    with stage.refuses(2, "admin stays an administrator"):
        people.promote("admin", admin=False)
    with stage.refuses(2, "in the stack's secrets", "secrets rotate admin_password"):
        people.change("admin", GOOD)


@pytest.mark.parametrize(
    ("permission", "thing", "said"),
    [("read", "experiment", "'read' is no permission"), ("", "model", "'' is no permission"),
     ("READ", "run", "'run' has no permissions of its own here")],
)  # fmt: skip
def test_what_can_be_granted_is_told(
    stage: Stage, people: People, permission: str, thing: str, said: str
) -> None:
    with stage.refuses(2, said, "one of "):
        people.grant("ada", permission, thing, "x")


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (400, '{"error_code": "X", "message": "User (username=ada) already exists."}', 2,
         "User (username=ada) already exists;"),
        (400, '{"message": "User (username=ada) already exists. Error: (psycopg2) key [SQL: INSERT'
         " INTO users VALUES] [parameters: {'password_hash': 'scrypt:1$geheim'}]\"}", 2,
         "User (username=ada) already exists;"),
        (404, "<h1>Not Found</h1>", 2, "is its MLflow older than 3.17?"),
        (403, '{"message": "no"}', 3, "GET x: 403"),
        (500, "Error: (psycopg2) [SQL: INSERT] [parameters: {'password_hash': 'geheim'}]", 3,
         "GET x: 500"),
        (0, "", 3, "GET x: 0"),
    ],
)  # fmt: skip
def test_what_the_server_says_is_told(
    stage: Stage, people: People, monkeypatch: pytest.MonkeyPatch,
    status: int, body: str, code: int, said: str,
) -> None:  # fmt: skip
    def refuses(*_: object) -> bytes:
        raise RoundTripError(f"GET x: {status} {body}", status, body)

    monkeypatch.setattr(RoundTrip, "request", refuses)
    with stage.refuses(code, said) as refusal:
        people.all()
    assert "geheim" not in str(refusal.value)


def test_a_password_is_read_from_a_file_and_not_shown(
    stage: Stage, stackctl: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stage.deployed("scenario-5", "name=x", "auth=basic")
    sent: list[bytes] = []

    def taken(_trip: object, _method: str, _url: str, body: bytes | None, _type: str) -> bytes:
        sent.append(body or b"")
        return b"{}"

    monkeypatch.setattr(RoundTrip, "request", taken)
    (tmp_path / "p").write_text(f"{GOOD}\n")
    answer = stackctl("users", "add", "ada", "--password-file", str(tmp_path / "p"))
    assert (answer.code, answer.out) == (0, "")
    assert GOOD in sent[0].decode()
    made = stackctl("users", "passwd", "ada")
    assert made.out.strip() in sent[1].decode()
    assert "shown once" in made.err
    assert stackctl("users", "add", "ada", "--password-file", str(tmp_path / "none")).code == 3


# What is told and asked, of a server that answers so.

ROWS = [
    {"resource_type": "experiment", "resource_pattern": "*", "permission": "MANAGE",
     "role_name": "readers", "workspace": "default"},
    {"resource_type": "registered_model", "resource_pattern": "m", "permission": "READ",
     "role_name": "__user_2__", "workspace": "default"},
]  # fmt: skip


@pytest.fixture
def asked(people: People, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the server of a stack `x` is asked, which knows `ROWS` of every user."""
    found: list[tuple[str, str]] = []

    def answer(_: object, method: str, url: str, body: bytes | None, __: str) -> bytes:
        found.append((url.rpartition("/mlflow/")[2].partition("?")[0], (body or b"").decode()))
        return json.dumps({"permissions": ROWS}).encode()

    monkeypatch.setattr(RoundTrip, "request", answer)
    return found


def test_what_a_role_gives_is_not_the_user_s_own(
    people: People, asked: list[tuple[str, str]]
) -> None:
    assert [(one.id, one.role) for one in people.grants("ada")] == [("*", "readers"), ("m", "")]
    asked.clear()
    people.grant("ada", "READ", "experiment", "*")
    assert [path for path, _ in asked] == ["users/permissions/list", "users/permissions/grant"]
    asked.clear()
    people.grant("ada", "MANAGE", "experiment", "*")
    assert asked[-1][0] == "users/permissions/grant"
    with pytest.raises(UserError, match="it is by role 'readers': stackctl roles revoke"):
        people.revoke("ada", "experiment", "*")
    with pytest.raises(UserError, match="stackctl users show 'ada'"):
        people.revoke("ada", "model", "other")


def test_a_model_that_is_gone_can_be_revoked(people: People, asked: list[tuple[str, str]]) -> None:
    people.revoke("ada", "registered_model", "m")
    assert [path for path, _ in asked] == ["users/permissions/list", "users/permissions/revoke"]


def test_names_are_shown_as_they_are_and_do_nothing(
    stage: Stage, stackctl: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may make an experiment chooses its name."""
    stage.deployed("scenario-5", "name=x", "auth=basic")
    names = ["[/x]", "[b]admin[/b]", ":bomb:", "esc\x1b[31m", "\u202eevil"]
    users = [{"username": name, "is_admin": False, "roles": []} for name in names]
    monkeypatch.setattr(
        RoundTrip, "request", lambda *_: json.dumps({"users": users, "permissions": []}).encode()
    )
    shown = stackctl("users", "list")
    assert (shown.code, shown.err) == (0, "")
    for said in ("[/x]", "[b]admin[/b]", ":bomb:", "esc\\x1b[31m", "\\u202eevil"):
        assert said in shown.out
    assert "\x1b" not in shown.out


def test_a_description_fits_every_database(stage: Stage, people: People) -> None:
    roles = Roles(people._server)
    for description in ("d" * 1025, "two\nlines", "esc\x1b"):
        with stage.refuses(2, "one line of at most 1024"):
            roles.add("readers", description)
    for name in ("", "a/b", "blank ", "x" * 101):
        with stage.refuses(2, "can be no role's name"):
            roles.add(name)
