"""Errors are for people: one line, an exit code from one table, and what to do next."""

from pathlib import Path

import pytest

from stackctl.errors import (
    BadScenario,
    BadSecret,
    BadSetting,
    Busy,
    MachineError,
    NotReady,
    PortTaken,
    StackctlError,
    UnknownName,
    UserError,
    did_you_mean,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StackctlError("x"), 1),
        (UserError("x"), 2),
        (UnknownName("thing", "x", ["y"]), 2),
        (BadSetting("port", "x", "--set", "no"), 2),
        (BadScenario("f", 1, "k", "no"), 2),
        (BadSecret(Path("f"), "no", "mend"), 2),
        (MachineError("x"), 3),
        (PortTaken("port", "127.0.0.1", 5000, "nginx (process 1)"), 3),
        (NotReady("x"), 3),
        (Busy("x"), 3),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_error_has_its_exit_code(error: StackctlError, code: int) -> None:
    assert error.exit_code == code


def test_message_and_hint_make_one_line_and_details_stay_apart() -> None:
    error = StackctlError("it broke", hint="mend it", details="line 1\nline 2")
    assert str(error) == "it broke; mend it"
    assert (error.message, error.details) == ("it broke", "line 1\nline 2")
    assert str(StackctlError("it broke")) == "it broke"


def test_a_taken_port_says_by_whom_and_which_setting_avoids_it() -> None:
    assert str(PortTaken("artifacts_port", "127.0.0.1", 5016, "nginx (process 7)")) == (
        "port 5016 on 127.0.0.1 is taken by nginx (process 7); "
        "stop it, or choose another with --set artifacts_port=PORT"
    )


def test_a_long_or_odd_value_is_shown_short_and_on_one_line() -> None:
    text = str(BadSetting("name", "a\nb" + "x" * 500, "--set", "no"))
    assert text.startswith("setting name='a\\nbxxx")
    assert text.endswith("… (from --set): no")
    assert len(text) < 130


def test_a_malformed_file_has_its_line_where_there_is_one() -> None:
    assert str(BadScenario("f.toml", 3, "port", "no")).startswith("f.toml:3: port: no; see ")
    assert str(BadScenario("f.toml", 0, "file", "no")).startswith("f.toml: file: no; see ")


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("prot", "did you mean 'port'?"),
        ("zzz", "known: name, port"),
        # As near to it as a word is by chance.
        ("static_prefix", "known: name, port"),
        ("parking", "known: name, port"),
    ],
)
def test_did_you_mean_names_the_nearest_or_all(word: str, hint: str) -> None:
    assert did_you_mean(word, ["port", "name"]) == hint
