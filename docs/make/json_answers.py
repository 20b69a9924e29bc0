"""The page docs/reference/json.md and its schema, made from the types of the answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from kitestring.app.cli.json_schema import schema_of
from kitestring.app.cli.listed import commands_of
from kitestring.app.cli.main import cli

_HEAD: Final = """\
# JSON answers

With `--json` every command answers with one line of JSON on standard output, also when it fails. `demo`, `watch`,
`approvals --watch` and `debit subscribe` write a line for each thing that happens. The exit code says how it ended
([exit codes](cli.md#exit-codes)). `--json` stands before or after the command.

- **Every field is always there.** What is absent is `null`, and a list may be empty. New versions may add fields: a
  program ignores what it does not know.
- **Amounts** end in `_msat` and are whole millisatoshi, **times** in `_at` and are Unix seconds, **durations** in `_s`.
  `…_minor` are minor units of a currency: 350 and EUR are 3.50 EUR.
- Hashes, keys and preimages are hex; codes and links are as people paste them. There is no JSON inside of a text.
- **The owner** is the account `owner`. What the owner has done, and no app, has `connection_id` and `connection` null.
- **No budget** is an empty list of budgets. A budget whose `period` is `never` is a total: it does not renew.
- Texts of others (descriptions, names, words of relays) are shown as they came.

Over the owner's socket the answer of a command is the same object, in `result`. The JSON Schema (2020-12) of this
version is [json-schema.json](json-schema.json). The program prints it: `kitestring --json-schema` for all commands,
`kitestring --json-schema "offer create"` for one. `kitestring --json --version` is `{"version":"…"}`.

## Errors

{error}

```json
{example}
```

## With jq

What came in since midnight, in sat:

```sh
kitestring --json transactions --in --limit 1000 --since "$(date +%F)" |
  jq '[.transactions[].amount_msat] | add // 0 | . / 1000'
```

Offers that nobody has paid among the last thousand payments:

```sh
kitestring --json transactions --in --limit 1000 |
  jq -r --argjson all "$(kitestring --json offer list)" \\
    '[.transactions[].offer_id] as $paid | $all.offers[] | select(.offer_id as $id | $paid | index($id) | not).label'
```

What is left of each budget, in sat:

```sh
kitestring --json connections |
  jq -r '.connections[] | .name as $name | .budgets[] | "\\($name): \\(.left_msat / 1000) of \\(.limit_msat / 1000)"'
```
"""
#: Built values of examples, by the end of the name of a field.
_SAMPLES: Final = (
    ("nwc_uri", "nostr+walletconnect://…"),
    ("_msat", 21_000), ("_at", 1_800_000_000), ("_s", 60), ("_minor", 350), ("relays", "wss://relay.example"),
    ("relay", "wss://relay.example"), ("url", "https://shop.example/paid"), ("noffer", "noffer1…"),
    ("ndebit", "ndebit1…"), ("nmanage", "nmanage1…"), ("npub", "npub1…"), ("bolt11", "lnbc210n1…"),
    ("hash", "9f86d081…"), ("preimage", "2c26b46b…"), ("pubkey", "4bf5122f…"), ("caller", "4bf5122f…"),
    ("account", "owner"), ("name", "shop"), ("label", "tea"), ("_id", "a1b2c3d4"), ("reason", "insufficient_funds"),
    ("message", "the balance is too small"),
)  # fmt: skip
_WORDS: Final = {"integer": "number", "string": "text", "boolean": "true or false", "number": "number", "null": "null"}


def schema_text() -> str:
    """docs/reference/json-schema.json."""
    whole = schema_of(commands_of(cli))
    parts = [f"{_line(name)}:{_members(value)}" for name, value in whole.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _members(value: Any) -> str:
    """A value in one line; an object in one line for each of its members."""
    if not isinstance(value, dict):
        return _line(value)
    return "{\n" + ",\n".join(f"  {_line(name)}:{_line(member)}" for name, member in value.items()) + "\n}"


def json_page() -> str:
    """docs/reference/json.md."""
    page = _Page(schema_of(commands_of(cli)))
    return "\n".join(page.lines()).rstrip() + "\n"


class _Page:
    """The page of one schema. An object that several answers have stands once, under Objects."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._objects: dict[str, Any] = schema["$defs"]
        kinds = [self._kinds(one) for one in schema["commands"].values()]
        self._own = {kind for kind, times in Counter(kind for one in kinds for kind in one).items() if times == 1}
        inner = {kind for one in self._objects.values() for kind in _references(one)}
        self._own -= inner

    def lines(self) -> Iterator[str]:
        error = self._objects["Error"]
        text = 'A failure is `{"error": …}`, and nothing else:\n\n' + "\n".join(self._table(error))
        example = {"error": {"reason": "over_budget", "message": "…", "details": {"remaining_msat": 21_000}}}
        yield _HEAD.replace("{error}", text).replace("{example}", _line(example))
        yield from ("## Commands", "")
        for words, command in commands_of(cli).items():
            yield from (f"### `{words}`", "", f"{command.get_short_help_str(200)}", "")
            kinds = self._kinds(self._schema["commands"][words])
            for kind in kinds:
                yield from self._answer(kind)
            if not kinds:
                yield from ("The result of the method, as the wallet has sent it: an object.", "")
        yield from ("## Objects", "")
        for name, found in sorted(self._objects.items()):
            if name not in self._own and name not in {"Error", "Failure"}:
                yield from (f"### {name}", "", _prose(found), "", *self._table(found), "")

    def _kinds(self, schema: dict[str, Any]) -> list[str]:
        return [_target(one) for one in schema.get("anyOf", [schema]) if "$ref" in one]

    def _answer(self, kind: str) -> Iterator[str]:
        found = self._objects[kind]
        if kind in self._own:
            yield from (_prose(found), "", *self._table(found), "")
        else:
            yield from (f"Answers [{kind}](#{kind.lower()}): {_prose(found)}", "")
        yield from ("```json", _line(self._sample(kind)), "```", "")

    def _table(self, found: dict[str, Any]) -> list[str]:
        rows = ["| field | type | meaning |", "|---|---|---|"]
        for name, field in found["properties"].items():
            rows.append(f"| `{name}` | {_type(field)} | {field.get('description', '')} |")
        return rows

    def _sample(self, kind: str, depth: int = 0) -> Any:
        return {name: self._value(name, field, depth) for name, field in self._objects[kind]["properties"].items()}

    def _value(self, name: str, field: dict[str, Any], depth: int) -> Any:
        if "anyOf" in field:
            kinds = [one for one in field["anyOf"] if one.get("type") != "null"]
            if kinds != [{"type": "string"}] and len(kinds) < len(field["anyOf"]):
                return None
            if kinds == [{"type": "string"}]:
                return next((value for end, value in _SAMPLES if name.endswith(end) and isinstance(value, str)), None)
            field = kinds[0]
        if "$ref" in field:
            return self._sample(_target(field), depth + 1)
        if "enum" in field:
            return next(one for one in field["enum"] if one is not None)
        kind = field.get("type")
        if kind == "array":
            return [self._value(name, field["items"], depth + 1)] if depth < 2 else []
        if kind == "object":
            return {}
        if kind == "boolean":
            return False
        if kind == "integer":
            return next((value for end, value in _SAMPLES if name.endswith(end) and isinstance(value, int)), 1)
        return next((value for end, value in _SAMPLES if name.endswith(end) and isinstance(value, str)), "…")


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield _target(schema)
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _target(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _type(field: dict[str, Any]) -> str:
    """The type of a field in words."""
    if "anyOf" in field:
        kinds = sorted((_type(one) for one in field["anyOf"]), key=lambda kind: kind == "null")
        return " or ".join(dict.fromkeys(kinds))
    if "$ref" in field:
        kind = _target(field)
        return f"[{kind}](#{kind.lower()})"
    if "enum" in field:
        return " \\| ".join(f"`{one}`" if one is not None else "null" for one in sorted(field["enum"], key=_last))
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    if field.get("type") == "object":
        values = field.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, dict) and values else "object"
    return _WORDS.get(field.get("type", ""), "anything")


def _last(value: object) -> bool:
    return value is None


def _prose(found: dict[str, Any]) -> str:
    return " ".join(str(found.get("description", "")).split()).replace("``", "`")


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
