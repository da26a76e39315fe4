"""A place is a thing's own only where it is called by it."""

from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber

from stackctl.courier.belongings import Belongings, Thing
from stackctl.courier.numbering import origin

TAG = "stackctl.origin.experiment_id"
OLD = "493038463201872345"


def experiment(number: str, location: str, was: str = "") -> Thing:
    return Thing("experiment", number, "name", number, location, was)


@pytest.mark.parametrize(
    ("number", "was", "place", "own"),
    [
        ("7", "", "7", "7"),
        ("7", "", "8", None),
        ("7", "", "8/7", "8/7"),
        ("7", "", "../7", None),
        ("7", "", "", None),
        # A file store's number is none of a database's: the folder kept it.
        ("2", OLD, OLD, OLD),
        ("2", OLD, "2", "2"),
        ("2", OLD, "3", None),
        ("2", "", OLD, None),
    ],
)
def test_an_experiment_s_folder_has_its_number(
    tmp_path: Path, number: str, was: str, place: str, own: str | None
) -> None:
    thing = experiment(number, f"{tmp_path}/{place}", was)
    found = Belongings([str(tmp_path)], "").of(thing)
    assert found == (own and f"{tmp_path}/{own}")


def test_what_goes_takes_no_neighbour_along(tmp_path: Path) -> None:
    for place in (OLD, "2", "3"):
        (tmp_path / place / "traces").mkdir(parents=True)
        (tmp_path / place / "traces" / "file").write_text("x")
    belongings = Belongings([str(tmp_path)], "")
    thing = experiment("2", f"{tmp_path}/{OLD}", OLD)
    assert belongings.size(thing) == 1
    belongings.delete(thing)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3"]


def test_a_store_that_lists_no_unfinished_uploads_is_no_obstacle() -> None:
    """It has no such call, or these keys may not make it."""
    client = boto3.client(
        "s3", region_name="x", aws_access_key_id="x", aws_secret_access_key="x",
        endpoint_url="http://127.0.0.1:9",
    )  # fmt: skip
    belongings = Belongings(["s3://b/artifacts"], "b")
    belongings._s3 = client
    listed = {"Contents": [{"Key": "artifacts/7/a", "Size": 5,
                            "LastModified": datetime(2026, 1, 1, tzinfo=UTC)}]}  # fmt: skip
    with Stubber(client) as stub:
        stub.add_client_error("list_multipart_uploads", "AccessDenied", http_status_code=403)
        stub.add_response("list_objects_v2", listed)
        assert belongings.size(experiment("7", "s3://b/artifacts/7")) == 5
        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ({}, ""), ({TAG: OLD}, OLD), ({TAG: "7"}, ""), ({TAG: str(2**31 - 1)}, ""),
        ({TAG: str(2**31)}, str(2**31)), ({TAG: "../7"}, ""), ({TAG: "-" + OLD}, ""),
        ({"other": OLD}, ""),
    ],
)  # fmt: skip
def test_only_a_number_that_no_database_gives_is_an_origin(
    tags: dict[str, str], found: str
) -> None:
    """Anybody can write a tag, and another experiment's artifacts are at stake."""
    assert origin(tags) == found
