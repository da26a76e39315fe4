"""Which stack a test asks for."""

import pytest

from stackctl.testing.wish import NotUnderstood, Wish, settings_of

DEFAULT = Wish("scenario-3b").having({"workers": "1", "auth": "basic"})


def test_marker_without_arguments_is_the_default() -> None:
    assert DEFAULT.marked() == DEFAULT


def test_marker_says_what_differs_and_the_rest_stays() -> None:
    wish = DEFAULT.marked("scenario-5", settings={"workers": 2}, runtime="docker")
    assert (wish.scenario, wish.runtime) == ("scenario-5", "docker")
    assert dict(wish.settings) == {"workers": "2", "auth": "basic"}


def test_equal_wishes_are_one_however_they_are_written() -> None:
    one = Wish("scenario-5").marked(settings={"workers": 2, "region": "x"})
    other = Wish("scenario-3b").marked(
        scenario="scenario-5", settings={"region": "x", "workers": "2"}
    )
    assert one == other
    assert len({one, other}) == 1


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("scenario-5", "docker"), {}),
        (("scenario-5",), {"scenario": "scenario-5"}),
        ((5,), {}),
        ((), {"scenari": "scenario-5"}),
        ((), {"settings": "workers=1"}),
        ((), {"settings": ["workers=1"]}),
        ((), {"runtime": None}),
    ],
)
def test_other_arguments_are_refused_with_what_to_write(
    args: tuple[object, ...], kwargs: dict[str, object]
) -> None:
    with pytest.raises(NotUnderstood, match=r"write @pytest\.mark\.tracking_stack\(scenario"):
        DEFAULT.marked(*args, **kwargs)


def test_settings_are_lines() -> None:
    lines = ["workers=1", " public_hosts = a=b "]
    assert settings_of(lines) == {"workers": "1", "public_hosts": "a=b"}


def test_line_that_is_no_setting_is_named() -> None:
    with pytest.raises(NotUnderstood, match="'workers' has no '='"):
        settings_of(["workers"])
