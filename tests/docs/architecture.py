"""The rooms of stackctl, floor by floor, and who uses whom: a picture, made from the code.

    python -m tests.docs.architecture      # writes docs/pictures/architecture.svg anew

The floors are the layers of `[tool.importlinter]` in pyproject.toml, the dots are the imports.
"""

import tomllib
from dataclasses import dataclass
from html import escape

import grimp

from tests.docs.pages import DOCS, ROOT, text

PICTURE = DOCS / "pictures" / "architecture.svg"
PACKAGE = "stackctl"
# In the picture's units: the side of a cell, where the first one stands, and what is around.
_CELL, _LEFT, _TOP, _WIDTH, _FOOT = 22, 62, 84, 960, 22
_NAME = 7.4  # width of a letter of a room's name
_STYLE = """
text { font-family: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: #1e293b; }
.name { font-size: 21px; font-weight: 700; }
.title { font-size: 15px; fill: #475569; }
.floor { font-size: 11px; font-weight: 600; fill: #64748b; text-anchor: end; }
.room { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 12px; }
.foot { font-size: 12px; fill: #475569; }
.band { fill: #f1f5f9; }
.package { fill: #e8eefc; stroke: #a9bdf0; }
.module { fill: #ffffff; stroke: #cbd5e1; }
.wire { stroke: #cbd5e1; stroke-width: 1; }
.import { fill: #1d4ed8; }
"""  # noqa: E501 - the families of letters that machines have


@dataclass(frozen=True)
class Room:
    """A module or package of stackctl.

    Attributes:
        name: Without `stackctl.`.
        floor: On which it stands, counted from the ground, which is 1.
    """

    name: str
    floor: int

    @property
    def path(self) -> str:
        """As it is called below `stackctl/`: `cli/`, `plan.py`."""
        return f"{self.name}/" if (ROOT / PACKAGE / self.name).is_dir() else f"{self.name}.py"


def rooms() -> list[Room]:
    """Every room, from the roof down."""
    project = tomllib.loads(text(ROOT / "pyproject.toml"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (floors,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [
        Room(name.strip(), len(floors) - number)
        for number, floor in enumerate(floors)
        for name in floor.split("|")
    ]


def imports() -> set[tuple[str, str]]:
    """Pairs of a room and one that it imports from."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    pairs = {
        (_room(importer), _room(imported))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    }
    # `stackctl` itself holds the version alone, and stands on no floor.
    return {(one, other) for one, other in pairs if one != other and one and other}


def _room(module: str) -> str:
    return module.partition(".")[2].partition(".")[0]


def svg() -> str:
    """The stairs of rooms. What a room imports is below it, who imports it is left of it."""
    found = rooms()
    place = {room.name: number for number, room in enumerate(found)}
    dots = sorted((place[one], place[other]) for one, other in imports())
    bottom = _TOP + _CELL * len(found)
    floors = [
        ", ".join(r.path for r in found if r.floor == n) for n in range(found[0].floor, 0, -1)
    ]
    told = "; ".join(f"{found[0].floor - n}: {names}" for n, names in enumerate(floors))
    height = bottom + _FOOT
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
            f'viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="title desc">',
            '<title id="title">The rooms of stackctl, floor by floor</title>',
            f'<desc id="desc">{escape(told)}</desc>',
            f"<style>{_STYLE}</style>",
            f'<rect x="0.75" y="0.75" width="{_WIDTH - 1.5}" height="{height - 1.5}" rx="14" '
            'fill="#ffffff" stroke="#cbd5e1" stroke-width="1.5"/>',
            '<text class="name" x="22" y="36">The rooms of stackctl</text>',
            f'<text class="title" x="22" y="59">{len(floors)} floors, {len(found)} rooms, '
            f"{len(dots)} ways from one room to another, and all lead down</text>",
            *_bands(found),
            *_wires(dots),
            *_boxes(found),
            *(f'<circle class="import" cx="{_x(a)}" cy="{_y(b)}" r="4.5"/>' for a, b in dots),
            *_legend(),
            "</svg>\n",
        ]
    )


def _x(number: int) -> float:
    return _LEFT + _CELL * number + _CELL / 2


def _y(number: int) -> float:
    return _TOP + _CELL * number + _CELL / 2


def _bands(found: list[Room]) -> list[str]:
    """Each floor, every second one shaded, with its number."""
    drawn = []
    for floor in sorted({room.floor for room in found}):
        on_it = [number for number, room in enumerate(found) if room.floor == floor]
        top = _TOP + _CELL * on_it[0]
        if floor % 2:
            drawn.append(
                f'<rect class="band" x="16" y="{top}" width="{_WIDTH - 32}" '
                f'height="{_CELL * len(on_it)}"/>'
            )
        middle = top + _CELL * len(on_it) / 2 + 4
        drawn.append(f'<text class="floor" x="{_LEFT - 14}" y="{middle}">{floor}</text>')
    return drawn


def _wires(dots: list[tuple[int, int]]) -> list[str]:
    """From each room down to the last that it imports, and left to the first that imports it."""
    lowest, first = dict(dots), dict(reversed([(b, a) for a, b in dots]))
    return [
        *(f'<line class="wire" x1="{_x(a)}" y1="{_y(a)}" x2="{_x(a)}" y2="{_y(b)}"/>'
          for a, b in lowest.items()),
        *(f'<line class="wire" x1="{_x(a)}" y1="{_y(b)}" x2="{_x(b)}" y2="{_y(b)}"/>'
          for b, a in sorted(first.items())),
    ]  # fmt: skip


def _boxes(found: list[Room]) -> list[str]:
    drawn = []
    for number, room in enumerate(found):
        kind = "package" if room.path.endswith("/") else "module"
        left, top = _LEFT + _CELL * number + 1, _TOP + _CELL * number + 2
        width = round(len(room.path) * _NAME) + 16
        drawn += [
            f'<rect class="{kind}" x="{left}" y="{top}" width="{width}" height="{_CELL - 4}" '
            'rx="4"/>',
            f'<text class="room" x="{left + 8}" y="{top + 13}">{escape(room.path)}</text>',
        ]
    return drawn


def _legend() -> list[str]:
    lines = (
        "A dot says that the room above it, in its column,",
        "imports from the room right of it, in its row.",
        "Rooms on one floor do not know of each other.",
    )
    left, top = _WIDTH - 330, _TOP + 26
    return [
        f'<circle class="import" cx="{left}" cy="{top - 4}" r="4.5"/>',
        *(f'<text class="foot" x="{left + 16}" y="{top + 18 * number}">{line}</text>'
          for number, line in enumerate(lines)),
    ]  # fmt: skip


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")
