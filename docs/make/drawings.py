"""Pictures drawn from tables of the code: the states of a payment, and the rooms of the source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from kitestring.base.payments import TERMINAL, TRANSITIONS, State

#: Where a state stands: column and row. A new state needs a place here.
PLACES: Final[Mapping[State, tuple[float, float]]] = {
    State.RECEIVED: (0, 1),
    State.REFUSED: (0, 0),
    State.ASKED: (1, 0),
    State.RESERVED: (1.6, 1),
    State.DISPATCHED: (2.8, 1),
    State.SETTLED: (2.8, 0),
    State.FAILED: (2.8, 2),
    State.UNKNOWN: (4, 1),
    State.RESOLVED: (5.2, 1),
}
#: One column and one row; a box; the margin around all.
STEP_X, STEP_Y, BOX_X, BOX_Y, MARGIN = 140, 110, 118, 40, 80
_COLOURS: Final = {"end": ("#e7f5ec", "#2f7d4f"), "open": ("#fff4dd", "#b7791f"), "begin": ("#eef2f7", "#52606d")}
_HEAD: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="15">
<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>
<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">\
<path d="M0,1 L10,5 L0,9 z" fill="#52606d"/></marker></defs>
"""


def states_svg() -> str:
    """The state machine of outgoing payments."""
    columns, rows = (max(place[axis] for place in PLACES.values()) for axis in (0, 1))
    width, height = int(columns * STEP_X + 2 * MARGIN), int(rows * STEP_Y + 2 * MARGIN - 60)
    lines = [_HEAD.format(width=width, height=height).rstrip()]
    lines += [_arrow(before, after) for before in State for after in sorted(TRANSITIONS[before])]
    lines += [_state(state) for state in State]
    return "\n".join([*lines, "</svg>", ""])


def _centre(state: State) -> tuple[float, float]:
    column, row = PLACES[state]
    return column * STEP_X + MARGIN, row * STEP_Y + MARGIN - 30


def _state(state: State) -> str:
    x, y = _centre(state)
    kind = "end" if state in TERMINAL else "begin" if state in (State.RECEIVED, State.ASKED) else "open"
    fill, line = _COLOURS[kind]
    return (
        f'<rect x="{x - BOX_X / 2:g}" y="{y - BOX_Y / 2:g}" width="{BOX_X}" height="{BOX_Y}" rx="6" fill="{fill}"'
        f' stroke="{line}" stroke-width="1.5"/>'
        f'<text x="{x:g}" y="{y + 5:g}" text-anchor="middle" fill="#1f2933">{state.value}</text>'
    )


def _arrow(before: State, after: State) -> str:
    (from_x, from_y), (to_x, to_y) = _edge(before, after), _edge(after, before)
    return (
        f'<line x1="{from_x:.0f}" y1="{from_y:.0f}" x2="{to_x:.0f}" y2="{to_y:.0f}" stroke="#52606d"'
        ' stroke-width="1.5" marker-end="url(#tip)"/>'
    )


def _edge(state: State, towards: State) -> tuple[float, float]:
    """Where the line between two centres leaves the box of ``state``."""
    (x, y), (other_x, other_y) = _centre(state), _centre(towards)
    away_x, away_y = other_x - x, other_y - y
    share = min(
        BOX_X / 2 / abs(away_x) if away_x else 1.0,
        BOX_Y / 2 / abs(away_y) if away_y else 1.0,
    )
    return x + away_x * share, y + away_y * share


def states_mermaid() -> str:
    """The same for readers whose page draws Mermaid."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {State.RECEIVED.value}"]
    lines += [f"    {before} --> {after}" for before in State for after in sorted(TRANSITIONS[before])]
    lines += [f"    {state} --> [*]" for state in State if state in TERMINAL]
    return "\n".join([*lines, "```"])


#: One layer of the picture: width of the whole, height of a row, gap between two.
ROOMS_WIDTH, ROOM_HEIGHT, GAP = 760, 44, 12


def rooms_svg(layers: Sequence[Sequence[str]], pure: frozenset[str]) -> str:
    """The rooms, the highest layer on top; an import only ever goes down."""
    height = len(layers) * (ROOM_HEIGHT + GAP) + GAP + 50
    lines = [_HEAD.format(width=ROOMS_WIDTH, height=height).rstrip()]
    for row, layer in enumerate(layers):
        lines += _layer(layer, GAP + row * (ROOM_HEIGHT + GAP), pure)
    arrow_x, bottom = ROOMS_WIDTH - 24, height - 62
    lines.append(
        f'<line x1="{arrow_x}" y1="{GAP}" x2="{arrow_x}" y2="{bottom}" stroke="#52606d" stroke-width="1.5"'
        ' marker-end="url(#tip)"/>'
    )
    captions = (
        "Imports go down only; rooms side by side do not see each other.",
        "Green rooms are pure: they know no clock, socket, disk or chance.",
    )
    for row, caption in enumerate(captions):
        lines.append(f'<text x="{GAP}" y="{height - 34 + 20 * row}" fill="#52606d">{caption}</text>')
    return "\n".join([*lines, "</svg>", ""]).replace('font-size="15"', 'font-size="14"')


def _layer(layer: Sequence[str], top: int, pure: frozenset[str]) -> Iterator[str]:
    width = (ROOMS_WIDTH - 48 - GAP * len(layer)) / len(layer)
    for column, room in enumerate(layer):
        left = GAP + column * (width + GAP)
        fill, line = _COLOURS["end" if room in pure else "begin"]
        yield (
            f'<rect x="{left:.0f}" y="{top}" width="{width:.0f}" height="{ROOM_HEIGHT}" rx="6" fill="{fill}"'
            f' stroke="{line}" stroke-width="1.5"/><text x="{left + width / 2:.0f}" y="{top + ROOM_HEIGHT / 2 + 5:g}"'
            f' text-anchor="middle" fill="#1f2933">{room}</text>'
        )
