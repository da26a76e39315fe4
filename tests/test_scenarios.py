"""Scenarios are data: nine files, and whatever users put beside them."""

from pathlib import Path

import pytest

from stackctl import resources, scenarios
from stackctl.errors import BadScenario, UnknownName
from tests.bundles import NAMES

# The table in DESIGN.md: services, stores, who writes artifacts, whom clients address, ports.
TABLE = {
    "scenario-1": ("ui", "files", "folder", "client", "store", (5001,)),
    "scenario-2": ("ui", "sqlite", "folder", "client", "store", (5002,)),
    "scenario-3a": ("tracking", "files", "folder", "client", "server", (5003,)),
    "scenario-3b": ("tracking", "sqlite", "folder", "client", "server", (5003,)),
    "scenario-3b-mysql": ("tracking", "mysql", "folder", "client", "server", (5005,)),
    "scenario-4": ("tracking", "postgres", "s3", "client", "server", (5004,)),
    "scenario-5": ("tracking", "postgres", "s3", "server", "server", (5000,)),
    "scenario-5-mysql": ("tracking", "mysql", "s3", "server", "server", (5000,)),
    "scenario-6": ("tracking", "postgres", "s3", "artifacts-server", "server", (5006, 5016)),
}

GOOD = """\
title = "Mine"
choose = "When I like."
services = ["tracking"]
backend = "sqlite"
artifacts = "folder"
writer = "client"

[settings]
port = 5100
"""


def own(folder: Path, text: str, name: str = "mine") -> Path:
    """A folder of scenarios with one file."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


def test_the_nine_scenarios_are_those_of_the_design() -> None:
    assert {
        name: (
            found.server,
            found.backend,
            found.artifacts,
            found.writer,
            found.client,
            tuple(found.settings[k] for k in ("port", "artifacts_port") if k in found.settings),
        )
        for name, found in scenarios.load_all().items()
    } == TABLE


@pytest.mark.parametrize("name", NAMES)
def test_clients_that_write_to_a_folder_share_it_with_the_server(name: str) -> None:
    found = scenarios.load(name)
    assert found.uses_data_folder == (found.artifacts == "folder")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("scenaro-5", "scenario-5"), ("scenario5", "scenario-5"), ("scenario-3c", "scenario-3b")],
)
def test_an_unknown_scenario_names_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(UnknownName, match=f"no scenario '{typed}'; did you mean '{meant}'"):
        scenarios.load(typed)


def test_an_unknown_scenario_without_a_near_one_lists_all() -> None:
    with pytest.raises(UnknownName) as error:
        scenarios.load("zzz")
    assert error.value.hint == f"known: {', '.join(NAMES)}"


def test_own_scenarios_add_and_override(tmp_path: Path) -> None:
    folder = own(tmp_path / "scenarios", GOOD)
    own(folder, GOOD.replace("Mine", "My five"), "scenario-5")
    (folder / "notes.txt").write_text("not a scenario")
    found = scenarios.load_all(folder)
    assert set(found) == {*NAMES, "mine"}
    assert found["mine"].settings == {"port": 5100}
    assert found["scenario-5"].title == "My five"
    assert scenarios.load("scenario-4", folder) == scenarios.load("scenario-4")
    assert scenarios.names(folder) == sorted([*NAMES, "mine"])


@pytest.mark.parametrize(
    ("change", "line", "key", "reason"),
    [
        (('writer = "client"', "writer = client"), 6, "syntax", "Invalid value"),
        (('writer = "client"', 'writer = "client'), 6, "syntax", "Illegal character"),
        (('title = "Mine"', 'titel = "Mine"'), 1, "title", "Field required"),
        (("port = 5100", "port = 5100\n[more]\nx = 1"), 10, "more", "Extra inputs"),
        (('services = ["tracking"]', "services = 3"), 3, "services", "valid tuple"),
        (('services = ["tracking"]', "services = []"), 3, "services", "at least 1 item"),
        (('title = "Mine"', "title = 3"), 1, "title", "valid string"),
        (('backend = "sqlite"', 'backend = "oracle"'), 4, "backend", "files, mysql, postgres"),
        (('artifacts = "folder"', 'artifacts = "ftp"'), 5, "artifacts", "folder, s3"),
        (('writer = "client"', 'writer = "nobody"'), 6, "writer", "'artifacts-server'"),
        (('writer = "client"', 'writer = "server"'), 6, "writer", "needs artifacts='s3'"),
        (('["tracking"]', '["tracking", "tracking"]'), 3, "services", "twice"),
        (('["tracking"]', '["tracking", "redis"]'), 3, "services", "'redis', which is none"),
        (('["tracking"]', '["ui"]'), 1, "server", "'tracking' is not among services"),
        (('["tracking"]', '["../evil"]'), 3, "services", "should match pattern"),
        (
            ('backend = "sqlite"', 'backend = "mysql"\nclient = "store"'),
            5,
            "client",
            "needs a local backend",
        ),
    ],
    ids=lambda value: value[1].replace("\n", " ") if isinstance(value, tuple) else "",
)
def test_a_malformed_file_names_file_line_and_key(
    tmp_path: Path, change: tuple[str, str], line: int, key: str, reason: str
) -> None:
    assert change[0] in GOOD
    folder = own(tmp_path / "scenarios", GOOD.replace(*change))
    with pytest.raises(BadScenario) as error:
        scenarios.load("mine", folder)
    assert error.value.path == str(folder / "mine.toml")
    assert (error.value.line, error.value.key) == (line, key)
    assert reason in str(error.value)
    assert str(error.value).startswith(f"{folder}/mine.toml:{line}: {key}: ")


def test_a_file_that_is_not_utf_8_is_refused_by_name(tmp_path: Path) -> None:
    folder = own(tmp_path / "scenarios", GOOD)
    (folder / "mine.toml").write_bytes(GOOD.encode("utf-16"))
    with pytest.raises(BadScenario, match=r"mine\.toml: file: .*utf-8"):
        scenarios.load("mine", folder)


def test_one_malformed_file_does_not_hinder_another_scenario(tmp_path: Path) -> None:
    folder = own(tmp_path / "scenarios", "nonsense")
    assert scenarios.load("scenario-5", folder).name == "scenario-5"
    assert "mine" in scenarios.names(folder)


@pytest.mark.parametrize("field", ["backend", "services", "settings"])
def test_a_scenario_cannot_be_changed_by_accident(field: str) -> None:
    found = scenarios.load("scenario-5")
    with pytest.raises(ValueError, match="frozen"):
        setattr(found, field, "files")


@pytest.mark.parametrize(
    ("line", "key"), [("prot = 5000", "settings.prot"), ('port = "abc"', "settings.port")]
)
def test_a_bad_setting_in_a_scenario_names_file_line_and_key(
    tmp_path: Path, line: str, key: str
) -> None:
    shipped = resources.folder("scenarios").joinpath("scenario-3b.toml").read_text("utf-8")
    text = shipped.replace("port = 5003", line)
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(BadScenario) as error:
        scenarios.load("own", tmp_path)
    assert error.value.key == key
    assert error.value.line == text.splitlines().index(line) + 1
    assert error.value.path == str(tmp_path / "own.toml")
