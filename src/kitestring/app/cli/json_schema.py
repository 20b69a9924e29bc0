"""The JSON Schema of what commands answer with ``--json``, made from the types of the answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from kitestring.app.cli.answers import FailureJson, answers

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ENDING: Final = "Json"


def plain_name(kind: str) -> str:
    """The name of an object as the reference has it."""
    return kind.removesuffix(_ENDING)


def schema_of(words: Iterable[str]) -> dict[str, Any]:
    """One schema for the answers of these commands: ``commands`` has that of each by its words, ``error`` that of every
    failure, and ``$defs`` the objects."""
    wanted = {word: answers(word) for word in words}
    kinds = [FailureJson, *(kind for several in wanted.values() for kind in several)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    by_kind = {str(kind): _renamed(schema) for kind, schema in zip(kinds, schemas, strict=True)}
    return {
        "$schema": DIALECT,
        "title": "kitestring --json",
        "commands": {word: _either([by_kind[str(kind)] for kind in several]) for word, several in wanted.items()},
        "error": by_kind[str(FailureJson)],
        "$defs": {plain_name(name): _renamed(schema) for name, schema in sorted(components.items())},
    }


def schema_of_one(words: str) -> dict[str, Any]:
    """The schema of what one command answers, of its failure too."""
    whole = schema_of([words])
    return {
        "$schema": DIALECT,
        "title": f"kitestring {words} --json",
        "anyOf": [whole["commands"][words], whole["error"]],
        "$defs": whole["$defs"],
    }


def _either(schemas: list[Any]) -> Any:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _renamed(schema: Any) -> Any:
    """A schema with the plain names of objects in its titles and references. It is open: a later version may add
    fields, and who reads is told to pass over those that they do not know."""
    if isinstance(schema, dict):
        return {
            name: plain_name(value) if name in {"title", "$ref"} and isinstance(value, str) else _renamed(value)
            for name, value in schema.items()
            if not (name == "additionalProperties" and value is False)
        }
    return [_renamed(one) for one in schema] if isinstance(schema, list) else schema
