"""The settings written down for people: the file of ``kitestring init``, and the reference page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from textwrap import wrap
from typing import Any, Final

from kitestring.app.home.config import ROWS
from kitestring.app.home.settings import FILE_NAME
from kitestring.base.setting import Setting, Value

#: Characters of a comment's line in the file.
WIDTH: Final = 100


def commented_toml() -> str:
    """The file that ``kitestring init`` writes: every setting with its meaning, all at their defaults."""
    lines = ["# Settings of kitestring. Every line is a default: remove the # to change it.", ""]
    for section, rows in _sections().items():
        lines += [f"[{section}]", ""] if section else []
        for row in rows:
            lines += [f"# {line}" for line in _comment(row)]
            lines += [f"#{row.key.rpartition('.')[2]} = {_default(row)}", ""]
    return "\n".join(lines)


def reference_markdown() -> str:
    """The page docs/reference/configuration.md."""
    rows = [
        "# Configuration",
        "",
        f"kitestring reads `{FILE_NAME}` in its data directory; `kitestring init` writes one with every setting.",
        "An environment variable wins over the file, a command-line option over both.",
        "",
        "The data directory itself comes from `--data-dir`, else from `KITESTRING_DATA_DIR`, else it is the usual",
        "place for application data of your system.",
        "",
        "| setting | type | unit | default | environment | meaning |",
        "|---|---|---|---|---|---|",
    ]
    for row in chain.from_iterable(_sections().values()):
        variables = ", ".join(f"`{name}`" for name in row.variables)
        kind, default = row.kind, _default(row)
        rows.append(f"| `{row.key}` | {kind.expected} | {kind.unit} | `{default}` | {variables} | {row.doc} |")
    rows += ["", "A setting `a.b` is the line `b = …` in the section `[a]`.", ""]
    return "\n".join(rows)


def toml_value(value: Value) -> str:
    """``value`` as TOML writes it: like JSON, but without pairs of surrogates and without a bare DEL."""
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")


def _default(row: Setting[Any]) -> str:
    return toml_value(row.kind.plain(row.default))


def _comment(row: Setting[Any]) -> Iterator[str]:
    yield from wrap(row.doc, WIDTH)
    yield f"Type: {row.kind.expected}{f'; unit: {row.kind.unit}' if row.kind.unit else ''}."
    if row.variables:
        yield f"The environment variable {' or '.join(row.variables)} overrides it."


def _sections() -> dict[str, list[Setting[Any]]]:
    """The rows by section, "" for those outside of any: a section is written once, wherever its fields stand."""
    sections: dict[str, list[Setting[Any]]] = {}
    for row in ROWS.values():
        sections.setdefault(row.key.rpartition(".")[0], []).append(row)
    return sections
