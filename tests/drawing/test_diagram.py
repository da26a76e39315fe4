"""The picture of a scenario: who is there, and how an entity and an artifact flow."""

import re

import pytest

from stackctl import scenarios
from stackctl.drawing import diagram
from tests.bundles import NAMES

FLOWS = {
    "scenario-1": [
        ("client", "files (mlruns/)"),
        ("client", "local folder (mlruns/)"),
        ("mlflow ui", "files (mlruns/)"),
        ("mlflow ui", "local folder (mlruns/)"),
    ],
    "scenario-2": [
        ("client", "SQLite (mlruns.db)"),
        ("client", "local folder (mlruns/)"),
        ("mlflow ui", "SQLite (mlruns.db)"),
        ("mlflow ui", "local folder (mlruns/)"),
    ],
    "scenario-3a": [
        ("client", "tracking server"),
        ("tracking server", "files (mlruns/)"),
        ("tracking server", "client"),
        ("client", "local folder (mlruns/)"),
    ],
    "scenario-3b": [
        ("client", "tracking server"),
        ("tracking server", "SQLite (mlruns.db)"),
        ("tracking server", "client"),
        ("client", "local folder (mlruns/)"),
    ],
    "scenario-3b-mysql": [
        ("client", "tracking server"),
        ("tracking server", "MySQL"),
        ("tracking server", "client"),
        ("client", "local folder (mlruns/)"),
        ("database browser", "MySQL"),
    ],
    "scenario-4": [
        ("client", "tracking server"),
        ("tracking server", "PostgreSQL"),
        ("tracking server", "client"),
        ("client", "S3 bucket"),
    ],
    "scenario-5": [
        ("client", "tracking server"),
        ("tracking server", "PostgreSQL"),
        ("client", "tracking server"),
        ("tracking server", "S3 bucket"),
    ],
    "scenario-5-mysql": [
        ("client", "tracking server"),
        ("tracking server", "MySQL"),
        ("client", "tracking server"),
        ("tracking server", "S3 bucket"),
    ],
    "scenario-6": [
        ("client", "tracking server"),
        ("tracking server", "PostgreSQL"),
        ("client", "artifacts-only server"),
        ("artifacts-only server", "S3 bucket"),
    ],
}


@pytest.mark.parametrize("name", NAMES)
def test_the_flows_are_those_of_the_design(name: str) -> None:
    found = scenarios.load(name)
    assert [(flow.source, flow.target) for flow in diagram.flows(found)] == FLOWS[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_text_shows_every_flow_in_boxes_whose_sides_meet(name: str) -> None:
    found = scenarios.load(name)
    text = diagram.text(found)
    for flow in diagram.flows(found):
        assert re.search(rf"├─ {re.escape(flow.label)} ─+▶ \[ {re.escape(flow.target)} \]", text)
    boxes = [line for line in text.splitlines() if line.startswith(("┌", "│", "└"))]
    assert {re.split("[┐├┘]", line)[0].__len__() for line in boxes} == {len(boxes[0]) - 1}
    assert text.splitlines()[0] == f"{name}: {found.title}"
    assert text.endswith(found.choose)


@pytest.mark.parametrize("name", NAMES)
def test_mermaid_has_one_node_for_each_part_and_one_edge_for_each_flow(name: str) -> None:
    found = scenarios.load(name)
    first, *lines = diagram.mermaid(found).splitlines()
    assert first == "flowchart LR"
    nodes = {
        str(m[1]): str(m[2])
        for line in lines
        if (m := re.fullmatch(r'  (n\d+)\[\(?"([^"]+)"\)?\]', line))
    }
    edges = [m.groups() for line in lines if (m := re.fullmatch(
        r'  (n\d+) -- "([^"]+)" --> (n\d+)', line))]  # fmt: skip
    assert len(nodes) + len(edges) == len(lines)
    assert [(nodes[a], nodes[b]) for a, _, b in edges] == FLOWS[name]
    stores = {found.backend_kind.label, found.artifact_kind.label}
    cylinders = {m[1] for line in lines if (m := re.search(r'\[\("([^"]+)"\)\]', line))}
    assert cylinders == stores
