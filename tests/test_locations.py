"""Where artifacts of a stack are, and where they are in another."""

from pathlib import Path

import pytest

from stackctl import locations, scenarios
from stackctl.settings import resolve


def roots(name: str, *flags: str, data: str = "/home/u/data/x") -> list[str]:
    found = scenarios.load(name)
    settings = resolve(found, flags=flags, environment={}).settings
    return locations.roots(found, settings, Path(data))


def test_a_folder_is_named_in_both_ways_that_mlflow_uses() -> None:
    old, new = roots("scenario-3b"), roots("scenario-3b", data="/srv/y")
    assert locations.relocations(old, new) == [
        ("/home/u/data/x/mlruns", "/srv/y/mlruns"),
        ("file:///home/u/data/x/mlruns", "file:///srv/y/mlruns"),
    ]


def test_a_bucket_is_named_by_clients_that_write_to_it() -> None:
    old, new = roots("scenario-4"), roots("scenario-4", "bucket=other")
    assert locations.relocations(old, new) == [("s3://mlflow", "s3://other")]


def test_a_server_that_passes_artifacts_on_names_no_place() -> None:
    old, new = roots("scenario-5"), roots("scenario-5", "bucket=other", "port=7000")
    assert locations.relocations(old, new) == []


@pytest.mark.parametrize(
    ("flags", "root"),
    [
        ((), "mlflow-artifacts://127.0.0.1:5016"),
        (("artifacts_port=6000", "public_hosts=ml.example.org:80"),
         "mlflow-artifacts://ml.example.org:6000"),
        (("bind=::1",), "mlflow-artifacts://[::1]:5016"),
    ],
)  # fmt: skip
def test_an_artifacts_server_is_named_as_clients_reach_it(
    flags: tuple[str, ...], root: str
) -> None:
    assert roots("scenario-6", *flags) == [root]
