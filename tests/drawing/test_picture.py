"""The SVG of a scenario: everything of it is there, and nothing covers or cuts anything."""

import importlib.util
import re
from functools import cache
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import ImageFont

from stackctl import scenarios
from stackctl.drawing import diagram, picture
from stackctl.drawing.picture import Box
from stackctl.scenario import Scenario
from tests.bundles import NAMES
from tests.test_scenarios import GOOD, own

SVG = "{http://www.w3.org/2000/svg}"
# Topologies that users may write and that do not ship; each has its parts in other places.
ODD = {
    "folder": """services = ["postgres", "tracking"]
backend = "postgres"
artifacts = "folder"
writer = "client"
""",
    "proxy": """services = ["objects", "bucket", "tracking"]
backend = "sqlite"
artifacts = "s3"
writer = "server"
""",
    "alone": """services = ["objects", "bucket", "ui"]
backend = "files"
artifacts = "s3"
writer = "client"
client = "store"
server = "ui"
settings = {object_store_port = 5999}
""",
    "external": """services = ["mysql", "bucket", "tracking", "browser"]
backend = "mysql"
artifacts = "s3"
writer = "client"
settings = {object_store = "external", browser_port = 5900}
""",
    "all-of-it": """services = ["mysql", "bucket", "artifacts", "tracking", "browser"]
backend = "mysql"
artifacts = "s3"
writer = "artifacts-server"
settings = {object_store = "external", browser_port = 5900, artifacts_port = 65535, port = 65534}
""",
}
EACH = [*NAMES, *ODD]
# As long as a title may be.
LONG = "A tracking server on a database, artifacts somewhere else, and many words on it."


@pytest.fixture(scope="module", params=EACH)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    """Each scenario that ships, and each of the odd ones."""
    folder = tmp_path_factory.mktemp("own")
    for name, body in ODD.items():
        own(folder, f'title = "{LONG}"\nchoose = "x"\n{body}', name)
    return scenarios.load(request.param, folder)


def texts(svg: str, kind: str) -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(svg).iter(f"{SVG}text") if e.get("class") == kind]


def words(element: ElementTree.Element) -> str:
    return "".join(element.itertext())


@cache
def font(size: float, bold: bool) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which is wider than what browsers take for `sans-serif` elsewhere."""
    found = importlib.util.find_spec("matplotlib")
    assert found
    assert found.origin
    folder = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / f"DejaVuSans{'-Bold' if bold else ''}.ttf"), size)


def room(svg: str, element: ElementTree.Element) -> Box:
    """The room that a line of text takes, by the rule of its class in the style sheet."""
    rule = re.search(rf"^\.{element.get('class')} {{(.*)}}", svg, re.MULTILINE)
    assert rule
    size = float(re.findall(r"font-size: ([0-9.]+)px", rule[1])[0])
    width = font(size, "font-weight" in rule[1]).getlength(words(element))
    x, y = float(element.attrib["x"]), int(element.attrib["y"])
    anchor = element.get("text-anchor") or ("middle" if "anchor: middle" in rule[1] else "start")
    left = x - width * {"start": 0, "middle": 0.5, "end": 1}[anchor]
    return Box(int(left), y - int(size), int(left + width) + 1, y + int(size / 4))


def overlap(a: Box, b: Box) -> bool:
    return a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom


def inside(inner: Box, outer: Box) -> bool:
    return (
        outer.left <= inner.left
        and inner.right <= outer.right
        and outer.top <= inner.top
        and inner.bottom <= outer.bottom
    )


def test_every_part_flow_and_port_is_in_the_picture(found: Scenario) -> None:
    svg = picture.svg(found)
    arrows = diagram.flows(found)
    named = {name.split(" (")[0] for flow in arrows for name in (flow.source, flow.target)}
    assert {words(e) for e in texts(svg, "heading")} == named
    numbers = sorted(flow.label[:2].strip() for flow in arrows if flow.label[0].isdigit())
    assert sorted(words(e) for e in texts(svg, "number")) == numbers
    labels = sorted(re.sub(r"^\d\S?\s+", "", flow.label) for flow in arrows)
    assert sorted(words(e) for e in texts(svg, "words")) == labels
    ports = {f"port {v}" for k, v in found.settings.items() if k.endswith("port")}
    assert {words(e) for e in texts(svg, "port")} == ports | (
        set() if "port" in found.settings else {"port 5000"}
    )


def test_no_part_covers_another_and_each_is_in_the_frame_of_its_place(found: Scenario) -> None:
    layout = picture.layout(found)
    boxes = {name: layout.box(part) for name, part in layout.parts.items()}
    for (one, a), (two, b) in combinations(boxes.items(), 2):
        assert not overlap(a, b), (one, two)
    frames = {place: layout.frame(place, title) for place, title in picture.places(found).items()}
    for name, part in layout.parts.items():
        for place, frame in frames.items():
            around = frame.boxes if frame else ()
            assert any(inside(boxes[name], b) for b in around) == (place == part.place), name
            assert any(overlap(boxes[name], b) for b in around) == (place == part.place), name
    for one_frame, other in combinations([f for f in frames.values() if f], 2):
        for a in one_frame.boxes:
            assert not any(overlap(a, b) for b in other.boxes), (one_frame.place, other.place)


def test_an_arrow_goes_from_edge_to_edge_and_crosses_nobody(found: Scenario) -> None:
    layout = picture.layout(found)
    boxes = {name: layout.box(part) for name, part in layout.parts.items()}
    drawn: list[Box] = []
    for flow in diagram.flows(found):
        arrow = layout.arrow(flow)
        source, target = boxes[flow.source], boxes[flow.target]
        right = arrow.start < arrow.end
        assert arrow.start == (source.right if right else source.left)
        assert arrow.end == (target.left if right else target.right)
        assert source.top < arrow.y < source.bottom
        assert target.top < arrow.y < target.bottom
        path = Box(min(arrow.start, arrow.end), arrow.y, max(arrow.start, arrow.end), arrow.y + 1)
        crossed = [name for name, box in boxes.items() if overlap(path, box)]
        assert not crossed, flow
        assert not [other for other in drawn if overlap(path, other)], flow
        drawn.append(path)


def test_no_text_is_cut_or_covered(found: Scenario) -> None:
    svg = picture.svg(found)
    layout = picture.layout(found)
    height = int(ElementTree.fromstring(svg).attrib["height"])
    boxes = [layout.box(part) for part in layout.parts.values()]
    rooms = {
        kind: [room(svg, element) for element in texts(svg, kind)]
        for kind in ("name", "title", "place", "heading", "note", "words", "number", "port", "foot")
    }
    flat = [one for several in rooms.values() for one in several]
    assert all(inside(one, Box(12, 0, picture.WIDTH - 12, height)) for one in flat)
    for a, b in combinations(flat, 2):
        assert not overlap(a, b)
    for one in (*rooms["heading"], *rooms["note"]):
        assert any(inside(one, Box(b.left + 8, b.top, b.right - 8, b.bottom)) for b in boxes)
    for one in (*rooms["words"], *rooms["place"]):
        assert not any(overlap(one, box) for box in boxes)
    frames = (layout.frame(place, title) for place, title in picture.places(found).items())
    around = [box for frame in frames if frame for box in frame.boxes]
    assert all(any(inside(one, box) for box in around) for one in rooms["place"])


def test_the_picture_needs_nothing_but_itself(found: Scenario) -> None:
    svg = picture.svg(found)
    root = ElementTree.fromstring(svg)
    assert {e.tag.removeprefix(SVG) for e in root.iter()} <= {
        "svg", "title", "desc", "style", "defs", "marker", "path", "rect", "ellipse", "circle",
        "line", "text", "tspan", "g",
    }  # fmt: skip
    assert not re.search(r"@import|@font-face|url\((?!#)|href|javascript|\son[a-z]+=", svg)
    background = next(root.iter(f"{SVG}rect"))
    assert background.attrib["fill"] == "#ffffff"
    assert float(background.attrib["width"]) > picture.WIDTH - 2
    referred = set(re.findall(r"url\(#(\w+)\)", svg))
    assert referred <= {e.get("id") for e in root.iter(f"{SVG}marker")}


def test_who_cannot_see_it_is_told_every_flow(found: Scenario) -> None:
    root = ElementTree.fromstring(picture.svg(found))
    assert root.get("role") == "img"
    title, told = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert words(title) == f"{found.name}: {found.title}"
    assert told is not None
    for flow in diagram.flows(found):
        assert f"{flow.source} → {flow.target}: " in words(told)


def test_words_of_a_users_scenario_are_not_taken_for_markup(tmp_path: Path) -> None:
    hostile = '</title><script>alert(1)</script> & "x"'
    name = f"{'long-' * 20}&<b>"
    body = GOOD.replace('"Mine"', f"{hostile!r}") + 'name = "short"\n'
    found = scenarios.load(name, own(tmp_path / "own", body, name))
    svg = picture.svg(found)
    root = ElementTree.fromstring(svg)
    assert not [e for e in root.iter() if "script" in e.tag]
    (title,) = texts(svg, "title")
    assert words(title) == hostile
    (shown,) = texts(svg, "name")
    assert words(shown) == f"{name[:60]}…"


def test_the_ports_are_those_of_the_scenario_file(tmp_path: Path) -> None:
    folder = own(tmp_path / "scenarios", GOOD.replace("5100", "5123"))
    svg = picture.svg(scenarios.load("mine", folder))
    assert [words(e) for e in texts(svg, "port")] == ["port 5123"]
    assert "http://127.0.0.1:5123" in svg


@pytest.mark.parametrize(
    ("name", "machine"),
    [("scenario-1", "same"), ("scenario-3b-mysql", "same"), ("scenario-4", "any"),
     ("scenario-6", "any")],
)  # fmt: skip
def test_a_client_that_shares_a_folder_is_on_the_same_machine(name: str, machine: str) -> None:
    svg = picture.svg(scenarios.load(name))
    assert f"your process, {machine} machine" in [words(e) for e in texts(svg, "place")]
