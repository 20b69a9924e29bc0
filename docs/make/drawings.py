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


#: The picture of the rooms: its width, the margin around all, between two rooms, and between two layers.
ROOMS_WIDTH, EDGE, BESIDE, BETWEEN = 900, 24, 12, 22
#: Of one room: above the name, per line of parts, below the last; and the width of a letter of the parts.
NAME_Y, LINE_Y, FOOT_Y, LETTER_X = 24, 17, 10, 6.7
_PART_SIZE: Final = 12
_CAPTIONS: Final = (
    "A room may import rooms below it, never one above or beside it.",
    "Some know less: engine and ledger know policy and base alone, policy knows base alone.",
    "Transport and relay know no wire and no policy, and relay knows no transport.",
    "Green rooms are pure: no clock, socket, disk or chance.",
)


#: A room with some of its files and folders.
Shown = tuple[str, Sequence[str]]


def rooms_svg(
    layers: Sequence[Sequence[str]],
    floors: Sequence[Sequence[str]],
    parts: Mapping[str, Sequence[str]],
    pure: frozenset[str],
) -> str:
    """The rooms, the highest layer on top; ``floors`` are those of the first layer, drawn inside of it.

    ``parts`` are some files and folders of each room, of a floor under ``app/NAME``.
    """
    (house,), *others = layers
    inner = [[(name, parts.get(f"{house}/{name}", ())) for name in floor] for floor in floors]
    outer = [[(name, parts[name]) for name in layer] for layer in others]
    drawn, bottom = _stack(inner, EDGE + NAME_Y + BESIDE, EDGE + BESIDE, frozenset())
    bottom += BESIDE
    frame = (
        f'<rect x="{EDGE}" y="{EDGE}" width="{ROOMS_WIDTH - 2 * EDGE}" height="{bottom - EDGE}" rx="8" fill="#f7f9fb"'
        f' stroke="{_COLOURS["begin"][1]}" stroke-width="1.5"/>'
    )
    name = _text(EDGE + BESIDE, EDGE + NAME_Y, house, bold=True)
    below, end = _stack(outer, bottom + BETWEEN, EDGE, pure)
    captions = [_text(EDGE, end + 28 + 20 * row, caption) for row, caption in enumerate(_CAPTIONS)]
    head = _HEAD.format(width=ROOMS_WIDTH, height=end + 28 + 20 * len(captions)).rstrip()
    body = [frame, name, *drawn, *_down(bottom, outer[0], EDGE), *below, *captions]
    return "\n".join([head, *body, "</svg>", ""])


def _stack(layers: Sequence[Sequence[Shown]], top: int, margin: int, pure: frozenset[str]) -> tuple[list[str], int]:
    """The layers from ``top`` on with arrows between them, and where the last one ends."""
    lines: list[str] = []
    for layer, below in zip(layers, [*layers[1:], ()], strict=True):
        lines += _layer(layer, top, margin, pure)
        top += _height(layer, margin)
        if below:
            lines += _down(top, below, margin)
            top += BETWEEN
    return lines, top


def _wide(layer: Sequence[Shown], margin: int) -> float:
    return (ROOMS_WIDTH - 2 * margin - BESIDE * (len(layer) - 1)) / len(layer)


def _middles(layer: Sequence[Shown], margin: int) -> list[float]:
    width = _wide(layer, margin)
    return [margin + column * (width + BESIDE) + width / 2 for column in range(len(layer))]


def _lines(parts: Sequence[str], width: float) -> list[str]:
    """As many parts in a line as there is room for."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]} · {part}" if lines else ""
        if longer and len(longer) * LETTER_X <= width - 16:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


def _height(layer: Sequence[Shown], margin: int) -> int:
    width = _wide(layer, margin)
    return NAME_Y + FOOT_Y + LINE_Y * max(len(_lines(parts, width)) for _, parts in layer)


def _layer(layer: Sequence[Shown], top: int, margin: int, pure: frozenset[str]) -> Iterator[str]:
    width, height = _wide(layer, margin), _height(layer, margin)
    for (name, parts), middle in zip(layer, _middles(layer, margin), strict=True):
        fill, line = _COLOURS["end" if name in pure else "begin"]
        lines = _lines(parts, width)
        first = top + NAME_Y + (height - NAME_Y - FOOT_Y - LINE_Y * len(lines)) / 2
        yield (
            f'<rect x="{middle - width / 2:g}" y="{top}" width="{width:g}" height="{height}" rx="6" fill="{fill}"'
            f' stroke="{line}" stroke-width="1.5"/>'
        )
        yield _text(middle, first, name, bold=True, centred=True)
        for row, words in enumerate(lines, 1):
            yield _text(middle, first + LINE_Y * row, words, small=True, centred=True)


def _down(top: int, layer: Sequence[Shown], margin: int) -> Iterator[str]:
    """An arrow over the middle of each room of ``layer``."""
    for x in _middles(layer, margin):
        yield (
            f'<line x1="{x:g}" y1="{top + 2}" x2="{x:g}" y2="{top + BETWEEN - 1}"'
            ' stroke="#52606d" stroke-width="1.5" marker-end="url(#tip)"/>'
        )


def _text(x: float, y: float, words: str, *, bold: bool = False, small: bool = False, centred: bool = False) -> str:
    style = ' text-anchor="middle"' if centred else ""
    style += ' font-weight="bold"' if bold else ""
    style += f' font-size="{_PART_SIZE}"' if small else ""
    return f'<text x="{x:g}" y="{y:g}"{style} fill="{"#52606d" if small else "#1f2933"}">{words}</text>'
