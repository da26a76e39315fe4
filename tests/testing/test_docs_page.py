"""docs/testing.md and the CI files beside it say what is there."""

import inspect
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stackctl.testing import TrackingStack, plugin
from stackctl.testing.tracking_stack import KEEP
from stackctl.testing.wish import SCOPES
from tests.docs.pages import rows, text

ROOT = Path(__file__).parents[2]
PAGE = text(ROOT / "docs" / "testing.md")
CI = sorted((ROOT / "docs" / "ci").glob("*.yml"))
PROJECT = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]


class Options:
    """What the plugin tells pytest's parser."""

    def __init__(self) -> None:
        self.line: dict[str, Any] = {}
        self.ini: dict[str, str] = {}
        plugin.pytest_addoption(self)  # type: ignore[arg-type]

    def getgroup(self, *_names: str) -> "Options":
        return self

    def addoption(self, name: str, **options: Any) -> None:
        self.line[name] = options

    def addini(self, name: str, _help: str, default: str = "none", **_options: Any) -> None:
        self.ini[name] = default


OPTIONS = Options()


def documented() -> dict[str, list[str]]:
    """The rows of all tables by their first cell, without its quotes."""
    return {row[0].strip("`"): row[1:] for row in rows(PAGE)}


def names(value: Any) -> Iterator[str]:
    """Every string in the values of a YAML file."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from names(item)


def commands(path: Path) -> list[list[str]]:
    """The words of every command of a CI file."""
    lines = [line for item in names(yaml.safe_load(text(path))) for line in item.splitlines()]
    found = [shlex.split(line) for line in lines if re.match(r"(pip|pytest|python3?) ", line)]
    assert found
    return found


def test_every_fixture_is_documented() -> None:
    public = {name for name in vars(plugin) if name in ("tracking_stack", "tracking_uri")}
    assert public == {"tracking_stack", "tracking_uri"} <= documented().keys()


def test_every_option_is_documented_with_its_default() -> None:
    told = documented()
    assert {name for name in told if name.startswith("--")} == OPTIONS.line.keys()
    assert {name for name in told if name.startswith("stackctl_")} == OPTIONS.ini.keys()
    for name, default in OPTIONS.ini.items():
        assert told[name][0].strip("`") == default
    assert all(f"`{scope}`" in told["stackctl_scope"][1] for scope in SCOPES)
    assert KEEP in told


def test_every_member_of_a_stack_is_documented() -> None:
    told = set(re.findall(r"`(\w+)", "\n".join(
        line for line in PAGE.splitlines() if line.startswith("| ")
    )))  # fmt: skip
    members = {name for name in {*vars(TrackingStack), *vars(TrackingStack())} if name[0] != "_"}
    assert members - {"scenario", "keep", "timeout"} <= told
    arguments = inspect.signature(TrackingStack).parameters
    (shown,) = re.findall(r"^TrackingStack\((.*)\)$", PAGE, re.MULTILINE)
    assert re.findall(r"(\w+)=", shown) == list(arguments)


@pytest.mark.parametrize("path", CI, ids=lambda path: path.name)
def test_ci_file_installs_what_exists(path: Path) -> None:
    assert f"(ci/{path.name})" in PAGE
    (wheel,) = [word for words in commands(path) for word in words if ".whl" in word]
    found = re.fullmatch(r"\$\(echo wheels/(\w+)-\*\.whl\)\[(.*)\]", wheel)
    assert found is not None
    assert found[1] == PROJECT["name"].replace("-", "_")
    assert set(found[2].split(",")) <= PROJECT["optional-dependencies"].keys()
    versions = re.findall(r"(?:python:|python-version: \")(3\.\d+)", text(path))
    classifiers = {line.rpartition(" ")[2] for line in PROJECT["classifiers"]}
    assert versions
    assert set(versions) <= classifiers


@pytest.mark.parametrize("path", CI, ids=lambda path: path.name)
def test_ci_file_tests_on_both_runtimes(path: Path) -> None:
    parsed = yaml.safe_load(text(path))
    matrix = parsed["jobs"]["tests"]["strategy"]["matrix"]["runtime"] if "jobs" in parsed else []
    asked = [word for words in commands(path) if words[0] == "pytest" for word in words]
    runtimes = {word.partition("=")[2] for word in asked if word.startswith("--stackctl-runtime=")}
    if matrix:
        assert runtimes == {"${{"}  # matrix.runtime }}
        runtimes = set(matrix)
    assert runtimes == {"docker", "embedded"}
    assert runtimes <= set(OPTIONS.line["--stackctl-runtime"]["choices"])


def test_gitlab_jobs_are_complete() -> None:
    """Templates are what they extend, and every job ends with the tests."""
    jobs = yaml.safe_load(text(ROOT / "docs" / "ci" / "gitlab-ci.yml"))
    stages = jobs.pop("stages")
    for name, job in jobs.items():
        if not name.startswith("."):
            whole = {**jobs[job["extends"]], **job}
            assert whole["stage"] in stages
            assert whole["script"][-1].startswith("pytest ")
            assert whole["before_script"]
