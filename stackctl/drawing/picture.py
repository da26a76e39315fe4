"""A scenario as an SVG picture, drawn from the same flows as its diagrams.

Each flow has a lane, and runs through it from left to right or back. A part is as tall as the lanes
that touch it. So no arrow crosses a part, whatever the scenario.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template

from stackctl import resources
from stackctl.client.environment import tracking_uri
from stackctl.drawing.diagram import Flow, flows
from stackctl.scenario import Scenario
from stackctl.settings import Settings, resolve

WIDTH = 960
_COLUMNS = ((38, 188), (396, 192), (736, 186))  # x and width of each
_TOP, _LANE, _BETWEEN, _FOOT = 104, 104, 36, 76
_INSET, _MARGIN, _TITLE_ROOM = 11, 18, 26
_LONGEST_NAME = 60
_ARTIFACTS = "files, models, figures"
# How a kind of store looks; every other one is a database, and a cylinder.
_SHAPES = {"files": "folder", "folder": "folder", "s3": "bucket"}


@dataclass(frozen=True)
class Part:
    """A client, a server or a store.

    Attributes:
        name: As in the flows.
        shape: `box`, `cylinder`, `folder` or `bucket`.
        place: Where it is: `client`, `stack`, `data` or `elsewhere`.
        column: 0, 1 or 2, from the left.
        notes: Short lines below its name.
        port: The published port, where it has one.
    """

    name: str
    shape: str
    place: str
    column: int
    notes: tuple[str, ...]
    port: int | None = None

    @property
    def heading(self) -> str:
        """The name without what is in parentheses."""
        return self.name.split(" (")[0]


@dataclass(frozen=True)
class Box:
    """Where something stands, in the picture's units."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Arrow:
    """A flow as it is drawn: from `start` to `end` at the height `y`, its words around `label`."""

    number: str
    words: str
    kind: str
    start: int
    end: int
    label: int
    y: int


@dataclass(frozen=True)
class Frame:
    """What stands around the parts of one place: a box for each of its columns."""

    place: str
    title: str
    boxes: tuple[Box, ...]


class Layout:
    """Where everything stands: which lanes there are, how high each is, and who is in them.

    Attributes:
        parts: By name.
        bottom: The lower edge of the last lane.
    """

    def __init__(self, parts: Iterable[Part], arrows: Iterable[Flow]) -> None:
        self.parts = {part.name: part for part in parts}
        self.lanes = _lanes(arrows)
        self.tops: list[int] = []
        stores = [p for p in self.parts.values() if p.shape != "box"]
        self.store_column = stores[0].column
        owner = {lane: store.place for store in stores for lane in self.touched(store)}
        # A lane that no store touches is of the place above it.
        self.owners: list[str] = []
        y = _TOP
        for lane in range(len(self.lanes)):
            self.owners.append(owner.get(lane) or self.owners[-1])
            y += _BETWEEN if lane and self.owners[-1] != self.owners[-2] else 0
            self.tops.append(y)
            y += _LANE
        self.bottom = y

    def touched(self, part: Part) -> list[int]:
        """The lanes of the flows that begin or end at a part."""
        return [
            number
            for number, lane in enumerate(self.lanes)
            if any(part.name in (flow.source, flow.target) for flow in lane)
        ]

    def box(self, part: Part) -> Box:
        """Where a part stands."""
        left, width = _COLUMNS[part.column]
        lanes = self.touched(part)
        top, bottom = self.tops[lanes[0]] + _INSET, self.tops[lanes[-1]] + _LANE - _INSET
        return Box(left, top, left + width, bottom)

    def arrow(self, flow: Flow) -> Arrow:
        """How a flow is drawn."""
        source, target = self.parts[flow.source], self.parts[flow.target]
        start, end = self.box(source), self.box(target)
        xs = (start.right, end.left) if source.column < target.column else (start.left, end.right)
        # An arrow that passes a column has its words in the gap before that.
        first = min(source.column, target.column)
        gap = (sum(_COLUMNS[first]) + _COLUMNS[first + 1][0]) // 2
        number, words = re.findall(r"^(\d\w?)?\s*(.*)", flow.label)[0]
        kind = {"1": "entity", "2": "artifact"}.get(number[:1], "shows")
        if kind == "artifact" and target.name == "client":
            kind = "answer"
        lane = next(n for n, together in enumerate(self.lanes) if flow in together)
        return Arrow(number, words, kind, *xs, gap, self.tops[lane] + _LANE // 2)

    def frame(self, place: str, title: str) -> Frame | None:
        """What stands around the parts of a place; None where it has none."""
        columns: dict[int, set[int]] = {}
        for part in self.parts.values():
            if part.place == place:
                columns.setdefault(part.column, set()).update(self.touched(part))
        if not columns:
            return None
        owned = {lane for lane, owner in enumerate(self.owners) if owner == place}
        if owned:
            # Servers' own column reaches as far as the stores of the same place.
            columns = {column: lanes | owned for column, lanes in columns.items()}
            columns |= {self.store_column: owned}
        boxes = [self._around(column, columns[column]) for column in sorted(columns)]
        first, last = boxes[0], boxes[-1]
        if (first.top, first.bottom) == (last.top, last.bottom):
            boxes = [Box(first.left, first.top, last.right, last.bottom)]
        return Frame(place, title, tuple(boxes))

    def _around(self, column: int, lanes: set[int]) -> Box:
        left, width = _COLUMNS[column]
        return Box(
            left - _MARGIN,
            self.tops[min(lanes)] + _INSET - _TITLE_ROOM,
            left + width + _MARGIN,
            self.tops[max(lanes)] + _LANE - _INSET + _MARGIN,
        )


def layout(scenario: Scenario) -> Layout:
    """Where everything of a scenario stands.

    Raises:
        BadSetting: A setting in the scenario's file is refused.
    """
    arrows = flows(scenario)
    return Layout(_parts(scenario, resolve(scenario, environment={}).settings, arrows), arrows)


def svg(scenario: Scenario) -> str:
    """The picture. It has a background of its own, and needs no font and no other file.

    Raises:
        BadSetting: A setting in the scenario's file is refused.
    """
    drawn, arrows, name = layout(scenario), flows(scenario), scenario.name
    frames = (drawn.frame(place, title) for place, title in places(scenario).items())
    return _template().render(
        name=name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…",
        title=scenario.title,
        told=[f"{f.source} → {f.target}: {' '.join(f.label.split())}" for f in arrows],
        uri=tracking_uri(
            scenario, resolve(scenario, environment={}).settings, Path("/…/data/NAME")
        ),
        width=WIDTH,
        bottom=drawn.bottom,
        height=drawn.bottom + _FOOT,
        frames=[frame for frame in frames if frame],
        parts=[(part, drawn.box(part)) for part in drawn.parts.values()],
        arrows=[drawn.arrow(flow) for flow in arrows],
    )


@cache
def _template() -> Template:
    def read(name: str) -> str:
        return resources.folder("templates").joinpath(name).read_text(encoding="utf-8")

    return Environment(
        loader=FunctionLoader(read), undefined=StrictUndefined, autoescape=True,
        trim_blocks=True, lstrip_blocks=True,
    ).get_template("scenario.svg.j2")  # fmt: skip


def _parts(scenario: Scenario, settings: Settings, arrows: Iterable[Flow]) -> list[Part]:
    """Everything that the flows name."""
    entity, artifact = scenario.backend_kind, scenario.artifact_kind
    servers, stores = (2, 1) if scenario.client == "store" else (1, 2)
    external = "objects" in settings.elsewhere
    published = None if external else settings.object_store_port
    duties = "API, UI, artifact proxy" if scenario.writer == "server" else "API and UI"
    found = [
        Part("client", "box", "client", 0, ("your code, with mlflow", _client_note(scenario))),
        Part("mlflow ui", "box", "stack", servers, ("a page for a browser",), settings.port),
        Part("database browser", "box", "stack", servers, ("Adminer",), settings.browser_port),
        Part("tracking server", "box", "stack", servers, (duties,), settings.port),
        Part("artifacts-only server", "box", "stack", servers, ("artifact proxy, no more",),
             settings.artifacts_port),
        Part(entity.label, _SHAPES.get(scenario.backend, "cylinder"),
             "data" if entity.local else "stack", stores,
             (*_inside(entity.label), "runs, params, metrics")),
        Part(artifact.label, _SHAPES.get(scenario.artifacts, "cylinder"), "data", stores,
             (*_inside(artifact.label), _ARTIFACTS))
        if artifact.local else
        Part(artifact.label, _SHAPES.get(scenario.artifacts, "cylinder"),
             "elsewhere" if external else "stack", stores,
             (settings.object_store,) if published else (settings.object_store, _ARTIFACTS),
             published),
    ]  # fmt: skip
    named = {name for flow in arrows for name in (flow.source, flow.target)}
    return [part for part in found if part.name in named]


def _inside(label: str) -> list[str]:
    """What is in the parentheses of a store's label."""
    return re.findall(r"\((.*)\)", label)


def _client_note(scenario: Scenario) -> str:
    if scenario.client == "store":
        return "no server between"
    if scenario.writes_to_bucket:
        return "holds the S3 keys"
    return "writes artifacts itself" if scenario.writer == "client" else "holds no S3 keys"


def places(scenario: Scenario) -> dict[str, str]:
    """The title of each place that a part may be in."""
    shares = scenario.client == "store" or (
        scenario.writer == "client" and scenario.artifact_kind.local
    )
    return {
        "client": f"your process, {'same' if shares else 'any'} machine",
        "stack": "inside the stack",
        "data": f"data/NAME, {'a shared' if shares else 'its'} folder",
        "elsewhere": "outside the stack",
    }


def _lanes(arrows: Iterable[Flow]) -> list[list[Flow]]:
    """The flows of each lane: one; one and its next step; or one and who shows what it wrote."""
    lanes: list[list[Flow]] = []
    # What shows a database comes first: so the lanes of the database are neighbours.
    for flow in sorted(arrows, key=lambda f: not f.label.startswith("shows")):
        same_target = (n for n, lane in enumerate(lanes) if lane[0].target == flow.target)
        before = lanes[-1][-1] if lanes else flow
        if flow.label.startswith("reads"):
            lanes[next(same_target)].append(flow)
        elif before.target == flow.source != "client" and flow.target != "client":
            lanes[-1].append(flow)
        else:
            lanes.append([flow])
    return lanes
