"""An OpenID provider is looked at before anybody relies on it."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from stackctl.archive import Archive
from stackctl.errors import BadSecret, BadSetting, WouldOpen
from stackctl.operations import accounts, doctor
from stackctl.operations.drill import drill
from stackctl.operations.restore import destination
from stackctl.operations.sign_on import problem
from stackctl.render import ComposeRendering
from tests.operations.stage import METER, Stage

WHOLE = {"authorization_endpoint": "x", "token_endpoint": "x", "jwks_uri": "x"}


@contextmanager
def answering(status: int, text: str) -> Iterator[str]:
    """The address of what gives this answer; `{me}` in it is that address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = text.replace("{me}", me).encode()
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        me = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True).start()
        try:
            yield me
        finally:
            server.shutdown()


GOOD = (200, json.dumps({"issuer": "{me}", **WHOLE}))


def flags(issuer: str, *more: str) -> tuple[str, ...]:
    """Of a stack that relies on it."""
    return ("auth=oidc", f"oidc.issuer={issuer}", "oidc.client_id=x", "oidc.groups=ml", *more)


@pytest.fixture
def reaching(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Services reach this machine's loopback, as processes do."""
    monkeypatch.setattr(ComposeRendering, "refuse_provider_here", lambda _: None)
    return stage


@pytest.fixture
def with_secret(reaching: Stage) -> Stage:
    """The provider's secret is there."""
    stage = reaching
    stage.home.stack("scenario-5").secrets.take("oidc_client_secret", "given")
    return stage


@pytest.mark.parametrize(
    ("status", "text", "why"),
    [
        (404, "", "answers 404, and no discovery document"),
        (500, GOOD[1], "answers 500, and no discovery document"),
        (200, "<html>", "answers something else than a discovery document"),
        (200, "[]", "answers something else than a discovery document"),
        (200, json.dumps({"issuer": "{me}/", **WHOLE}), "it calls itself"),
        (200, json.dumps(WHOLE), "it calls itself None"),
        (200, json.dumps({"issuer": "{me}", "jwks_uri": "x"}),
         "lacks authorization_endpoint, token_endpoint"),
    ],
)  # fmt: skip
def test_what_is_no_provider_is_refused_before_anything_is_made(
    with_secret: Stage, status: int, text: str, why: str
) -> None:
    before = with_secret.now()
    with answering(status, text) as issuer, pytest.raises(BadSetting) as refused:
        with_secret.deploy("scenario-5", *flags(issuer))
    assert str(refused.value).startswith(f"setting oidc.issuer='{issuer}' (from --set): ")
    assert why in str(refused.value)
    assert with_secret.now() == before


def test_what_speaks_no_http_is_no_provider(with_secret: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        threading.Thread(target=answer, daemon=True).start()
        issuer = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(BadSetting, match="something else than a discovery document"):
            with_secret.deploy("scenario-5", *flags(issuer))


def test_a_provider_that_is_down_stops_only_who_does_not_know_it(with_secret: Stage) -> None:
    with answering(*GOOD) as issuer:
        assert with_secret.deploy("scenario-5", *flags(issuer))
        assert problem(with_secret.recorded("scenario-5").settings) == ""
    with_secret.begin()
    assert with_secret.deploy("scenario-5", *flags(issuer, "workers=3"))
    (told,) = [line for line in with_secret.told if "nobody can log in anew" in line]
    assert f"{issuer}/.well-known/openid-configuration does not answer: " in told
    # Another one was never relied on.
    with pytest.raises(BadSetting, match="does not answer"):
        with_secret.deploy("scenario-5", *flags(f"{issuer}/other"))
    found = {one.subject: one for one in doctor.examine(with_secret.home)}
    assert found["provider, scenario-5"].level == "problem"
    assert "programs, go on" in found["provider, scenario-5"].mend


def test_who_gives_no_secret_is_told_to(reaching: Stage) -> None:
    with answering(*GOOD) as issuer, pytest.raises(BadSecret) as refused:
        reaching.deploy("scenario-5", *flags(issuer))
    assert "oidc_client_secret" in str(refused.value)


def test_more_groups_let_more_people_in_and_that_is_asked(with_secret: Stage) -> None:
    with answering(*GOOD) as issuer:
        with_secret.deploy("scenario-5", *flags(issuer))
        with pytest.raises(WouldOpen, match="more people may come in"):
            with_secret.deploy("scenario-5", *flags(issuer, "oidc.groups=ml,everybody"))
        with pytest.raises(WouldOpen, match="more people may come in"):
            with_secret.deploy("scenario-5", *flags(issuer, "oidc.admin_groups=ml"))


def test_what_people_may_do_does_not_go_along_unnoticed(with_secret: Stage) -> None:
    target = with_secret.deployed("scenario-5", "name=there", "auth=basic", "port=5001")
    with answering(*GOOD) as issuer:
        origin = with_secret.deployed("scenario-5", *flags(issuer))
    found = accounts.of(origin)
    (told,) = accounts.outlook(found, target)
    assert "what people may do at stack 'scenario-5' stays behind: auth=oidc" in told
    assert accounts.moving(found, target) is None


def test_who_is_let_in_is_nothing_that_an_archive_says_unasked(with_secret: Stage) -> None:
    with answering(*GOOD) as issuer:
        path = with_secret.archived(with_secret.deployed("scenario-5", *flags(issuer)))
    with Archive(path) as found:
        listed = f"oidc.issuer={issuer}, oidc.client_id=x, oidc.groups=ml;"
        with with_secret.refuses(2, listed, "--as-it-was"):
            destination(found, with_secret.home, "y", ())
        said = ["oidc.issuer=http://127.0.0.1:9", "oidc.client_id=z", "oidc.groups=mine"]
        chosen = destination(found, with_secret.home, "y", said).settings
        assert (chosen.oidc.issuer, chosen.oidc.groups) == ("http://127.0.0.1:9", ("mine",))
        assert destination(found, with_secret.home, "y", ["auth=basic"]).settings.auth == "basic"
        taken = destination(found, with_secret.home, "y", (), as_it_was=True).settings
        assert taken.oidc.issuer == issuer


def test_a_drill_needs_no_provider(with_secret: Stage) -> None:
    with answering(*GOOD) as issuer:
        stack = with_secret.deployed("scenario-5", *flags(issuer), runs=2)
        path = with_secret.archived(stack)
    stack.secrets.forget("oidc_client_secret")
    with Archive(path) as found:
        told = drill(
            found, with_secret.home, "auto", timeout=1, meter=METER, progress=with_secret.progress
        )
    assert told.counts["runs"] == 2
