"""What was kept of a stack is read as it was meant, whichever version kept it."""

from typing import Any

import pytest

from stackctl.stack import Manifest

# As the last stackctl before the one with `kept` and `keyed` wrote it.
EARLY: dict[str, Any] = {
    "name": "x", "scenario": "scenario-5", "runtime": "embedded", "owner": "0123456789abcdef",
    "status": "deployed", "settings": {"port": 5000}, "mlflow": "3.17.2", "data": "/srv/x",
    "data_created": True, "secrets": ["postgres_password"], "deployed_at": "2026-11-01T00:00:00Z",
    "home": "/srv", "ports": {"postgres": 10240}, "volumes": {"postgres": "/srv/x/postgres"},
    "upgrade": {},
}  # fmt: skip


def test_one_of_before_has_what_its_runtime_chose_and_no_keys() -> None:
    found = Manifest.read(EARLY)
    assert found.kept == {"ports": EARLY["ports"], "volumes": EARLY["volumes"]}
    assert found.secrets == ("postgres_password",)
    assert not found.keyed
    others = {*EARLY} - {"ports", "volumes", "secrets"}
    assert {name: getattr(found, name) for name in others} == {n: EARLY[n] for n in others}


def test_one_of_docker_of_before_kept_nothing() -> None:
    assert Manifest.read({**EARLY, "ports": {}, "volumes": {}}).kept == {}


def test_what_is_written_now_is_read_as_it_is() -> None:
    now = {**{k: v for k, v in EARLY.items() if k not in ("ports", "volumes")},
           "kept": {"ports": {"postgres": 1}}, "keyed": True}  # fmt: skip
    found = Manifest.read(now)
    assert (found.kept, found.keyed) == ({"ports": {"postgres": 1}}, True)


def test_reading_changes_nothing_of_what_it_is_given() -> None:
    before = dict(EARLY)
    Manifest.read(EARLY)
    assert before == EARLY


@pytest.mark.parametrize(("change", "error"), [({"later": 1}, TypeError), ({}, KeyError)])
def test_one_of_a_later_stackctl_or_without_its_secrets_is_none(
    change: dict[str, int], error: type[Exception]
) -> None:
    values = {**EARLY, **change}
    if not change:
        del values["secrets"]
    with pytest.raises(error):
        Manifest.read(values)
