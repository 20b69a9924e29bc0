"""Plugins: the methods that installed packages add to Nostr Wallet Connect."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Final

import msgspec

from kitestring.base.plugins import GROUP, MethodPlugin
from kitestring.wire.serve.nwc.notifications import NOTIFICATIONS, WORD
from kitestring.wire.serve.nwc.table import METHODS

log = logging.getLogger("kitestring.plugins")

#: More methods would not fit into one info event.
MAX_PLUGINS: Final = 64
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


@cache
def load_plugins() -> Mapping[str, MethodPlugin]:
    """The plugins that are installed, by the names of their methods. One that cannot be used is left out, with a line
    of the log: it must not take the wallet with it."""
    return plugins_of(sorted(entry_points(group=GROUP), key=lambda entry: entry.name))


def plugins_of(entries: Iterable[EntryPoint]) -> Mapping[str, MethodPlugin]:
    """The plugins behind these entry points."""
    found: dict[str, MethodPlugin] = {}
    for entry in entries:
        try:
            plugin = entry.load()
        except Exception:
            log.exception("the plugin %s cannot be loaded, and its method is not served", entry.name)
            continue
        fault = _fault(plugin, found)
        if fault:
            log.error("the plugin %s %s: its method is not served", entry.name, fault)
        else:
            found[plugin.name] = plugin
    return MappingProxyType(found)


def _fault(plugin: object, found: Mapping[str, MethodPlugin]) -> str:
    """The reason why it cannot be used, "" where it can."""
    if not isinstance(plugin, MethodPlugin):
        return "is no MethodPlugin"
    names = {plugin.name, plugin.needs}
    if not all(map(_NAME.fullmatch, names)):
        return "has a name that is not of small letters, digits and underscores"
    if names & (METHODS.keys() | NOTIFICATIONS.keys() | {row.permission for row in METHODS.values()} | {WORD}):
        return "has a name that is taken by the wallet itself"
    if plugin.name in found:
        return f"has the name {plugin.name}, which another one has already"
    form: object = plugin.params  # whatever the types of the package say
    if not (isinstance(form, type) and issubclass(form, msgspec.Struct)):
        return "has params that are no msgspec.Struct"
    return "is one too many" if len(found) >= MAX_PLUGINS else ""
