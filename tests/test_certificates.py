"""What is wrong with a certificate or a key is told in words, before anything is started."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from stackctl.certificates import (
    chain_problem,
    ends,
    key_problem,
    laxity,
    misfit,
    new_authority,
    new_key,
)
from tests.contract.https import DAY, Authority

NOW = datetime.now(UTC)
MINE = Authority.new()


def test_an_authority_is_made_of_its_key_and_known_by_openssl() -> None:
    key = new_key()
    certificate = new_authority(key)
    assert key_problem(key) == chain_problem(certificate) == ""
    context = ssl.create_default_context(cadata=certificate)
    (known,) = context.get_ca_certs()
    assert known["subject"] == ((("commonName", "stackctl"),),)
    assert ends(certificate) - NOW > timedelta(days=3600)


def encrypted() -> str:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    ).decode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (encrypted(), "it is encrypted"),
        ("nothing", "it is no private key in PEM"),
        (MINE.certificate, "it is no private key in PEM"),
        (new_key()[:80], "it is no private key in PEM"),
        ("", "it is no private key in PEM"),
    ],
    ids=["encrypted", "nothing", "certificate", "cut", "empty"],
)
def test_a_key_that_cannot_be_used_is_told(text: str, said: str) -> None:
    assert said in key_problem(text)


@pytest.mark.parametrize(
    "text",
    ["nothing", new_key(), MINE.certificate[:200], ""],
    ids=["nothing", "key", "cut", "empty"],
)
def test_what_is_no_certificate_is_told(text: str) -> None:
    assert "it is no certificate in PEM" in chain_problem(text)


def test_a_chain_begins_with_the_server_s_own() -> None:
    mine, _ = MINE.issue("a.example")
    assert chain_problem(mine) == chain_problem(f"{mine}\n{MINE.certificate}\n") == ""
    for wrong in (f"{MINE.certificate}\n{mine}", f"{mine}\n{Authority.new().certificate}"):
        assert "comes first, then the one that issued it" in chain_problem(wrong)


@pytest.mark.parametrize(
    ("names", "host", "said"),
    [
        (["ml.example"], "ml.example", ""),
        (["ML.Example"], "ml.example", ""),
        (["a.example", "ml.example"], "ml.example", ""),
        (["*.example.org"], "ml.example.org", ""),
        (["*.example.org"], "a.ml.example.org", "is for *.example.org, and not for a.ml.example"),
        (["*.example.org"], "example.org", "and not for example.org"),
        (["ml.example"], "xml.example", "and not for xml.example"),
        (["192.168.1.5"], "192.168.1.5", ""),
        (["fd00::2"], "fd00:0::2", ""),
        (["192.168.1.5"], "192.168.1.6", "is for 192.168.1.5, and not for 192.168.1.6"),
        ([], "ml.example", "is for no name at all"),
    ],
)
def test_a_certificate_is_for_its_names(names: list[str], host: str, said: str) -> None:
    certificate, key = MINE.issue(*names)
    found = misfit(certificate, key, [host], NOW)
    assert said in found
    assert bool(said) is bool(found)


def test_a_certificate_is_good_for_a_time() -> None:
    ended, key = MINE.issue("a.example", begins=-9 * DAY, ends=-DAY)
    assert f"ended on {ends(ended):%Y-%m-%d}" in misfit(ended, key, ["a.example"], NOW)
    later, key = MINE.issue("a.example", begins=2 * DAY)
    assert "is this machine's clock right?" in misfit(later, key, ["a.example"], NOW)
    until = ends(MINE.issue("a.example", ends=20 * DAY)[0])
    assert 19 * DAY < until - NOW < 21 * DAY


def test_what_strict_clients_refuse_is_told() -> None:
    mine = Authority.new()
    lax, _ = mine.issue("ml.example.org", lax=True)
    said = "clients with Python 3.13 or later refuse 'CN=of a test': it does not say by which key"
    assert laxity(f"{lax}\n{mine.certificate}").startswith(said)
    strict, _ = mine.issue("ml.example.org")
    assert laxity(f"{strict}\n{mine.certificate}") == ""


def test_a_key_belongs_to_its_certificate() -> None:
    certificate, _ = MINE.issue("a.example")
    assert misfit(certificate, new_key(), [], NOW) == "the key is not that of the certificate"
