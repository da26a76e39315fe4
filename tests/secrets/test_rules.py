"""What each secret has to be, and what is said of one that is something else."""

import pytest

from stackctl.secrets.rules import rule
from tests.secrets.test_folder import MADE


@pytest.mark.parametrize("name", MADE)
def test_what_is_made_is_good(name: str) -> None:
    of = rule(name).of
    made = rule(name).made_of(rule(of).generate()) if of else rule(name).generate()
    assert rule(name).problem(made) == ""


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("s3_access_key", "a b", "3 to 128 letters"),
        ("s3_access_key", "ab", "3 to 128 letters"),
        ("s3_secret_key", "short", "8 or more"),
        ("s3_secret_key", "geheim-über-alles", "ASCII"),
        ("admin_password", "eleven-char", "12 or more"),
        ("admin_password", "ädministrator", "ASCII"),
        ("webhook_key", "a passphrase of my own", "a Fernet key is"),
        ("webhook_key", "ä" * 44, "a Fernet key is"),
        ("webhook_key", "A" * 44, "a Fernet key is"),
        ("webhook_key", "A" * 43, "a Fernet key is"),
        ("gateway_passphrase", "fifteen-letters", "16 or more"),
    ],
)
def test_what_no_service_takes_is_named_without_the_value(name: str, value: str, said: str) -> None:
    problem = rule(name).problem(value)
    assert said in problem
    assert value not in problem
    # One that is about to be, or was, is no other.
    assert rule(f"{name}.next").problem(value) == problem


@pytest.mark.parametrize("name", ["postgres_password", "flask_secret_key", "of_a_later_release"])
def test_others_may_be_anything(name: str) -> None:
    assert rule(name).problem("größe p@s:s") == ""
