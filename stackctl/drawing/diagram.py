"""A scenario as a picture: client, servers, stores, and how an entity and an artifact flow."""

from dataclasses import dataclass

from stackctl.scenario import Scenario


@dataclass(frozen=True)
class Flow:
    """One arrow: `label` goes from one part to another."""

    source: str
    target: str
    label: str


def flows(scenario: Scenario) -> list[Flow]:
    """How an entity (1) and an artifact (2) reach their stores, step by step."""
    entity_store, artifact_store = scenario.backend_kind.label, scenario.artifact_kind.label
    if scenario.client == "store":
        return [
            Flow("client", entity_store, "1  entity"),
            Flow("client", artifact_store, "2  artifact"),
            Flow("mlflow ui", entity_store, "reads, to show"),
            Flow("mlflow ui", artifact_store, "reads, to show"),
        ]
    server = "tracking server"
    found = [Flow("client", server, "1a entity"), Flow(server, entity_store, "1b entity")]
    if scenario.writer == "client":
        found += [
            Flow(server, "client", "2a where artifacts go"),
            Flow("client", artifact_store, "2b artifact"),
        ]
    else:
        through = server if scenario.writer == "server" else "artifacts-only server"
        found += [
            Flow("client", through, "2a artifact"),
            Flow(through, artifact_store, "2b artifact"),
        ]
    if "browser" in scenario.services:
        found.append(Flow("database browser", entity_store, "shows tables"))
    return found


def text(scenario: Scenario) -> str:
    """The diagram for a terminal: a box for each part, with the arrows that leave it."""
    arrows = flows(scenario)
    parts = list(dict.fromkeys([f.source for f in arrows]))
    width = max(len(f.label) for f in arrows)
    room = max(len(part) for part in parts) + 2
    lines = [f"{scenario.name}: {scenario.title}", ""]
    for part in parts:
        leaving = [f for f in arrows if f.source == part]
        shafts = [f"─ {f.label + ' ':─<{width + 1}}─▶ [ {f.target} ]" for f in leaving]
        lines.append(f"┌{'─' * room}┐")
        lines.append(f"│ {part:<{room - 2}} ├{shafts[0]}")
        lines += [f"│{' ' * room}├{shaft}" for shaft in shafts[1:]]
        lines += [f"└{'─' * room}┘", ""]
    lines.append(scenario.choose)
    return "\n".join(lines)


def mermaid(scenario: Scenario) -> str:
    """The diagram as Mermaid, for a README or a wiki."""
    arrows = flows(scenario)
    stores = {scenario.backend_kind.label, scenario.artifact_kind.label}
    parts = list(dict.fromkeys(p for f in arrows for p in (f.source, f.target)))
    ids = {part: f"n{number}" for number, part in enumerate(parts)}
    lines = ["flowchart LR"]
    for part in parts:
        box = f'[("{part}")]' if part in stores else f'["{part}"]'
        lines.append(f"  {ids[part]}{box}")
    lines += [f'  {ids[f.source]} -- "{f.label}" --> {ids[f.target]}' for f in arrows]
    return "\n".join(lines)
