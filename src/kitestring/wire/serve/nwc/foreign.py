"""Methods of plugins on the wire of Nostr Wallet Connect: read, answered and announced like its own."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kitestring.base.commands import CallMethod
from kitestring.base.errors import CodecError
from kitestring.base.grants import Grant
from kitestring.base.outcomes import MethodCalled
from kitestring.base.plugins import MethodPlugin
from kitestring.wire.grammar import Draft


def read_call(plugin: MethodPlugin, params: Mapping[str, object]) -> CallMethod:
    """A call whose params have the form that the plugin wants. Raises CodecError, without the words of the validator:
    they repeat values."""
    try:
        msgspec.convert(dict(params), plugin.params)
        return CallMethod(method=plugin.name, permission=plugin.needs, params=msgspec.json.encode(params))
    except (msgspec.MsgspecError, ValueError, TypeError):
        raise CodecError(f"the params are not those of {plugin.name}") from None


def called(outcome: MethodCalled) -> object:
    """The result, as the handler has given it."""
    return msgspec.Raw(outcome.result)


def allowed(plugins: Mapping[str, MethodPlugin], grant: Grant) -> tuple[str, ...]:
    """The methods of plugins that a grant allows, in their order."""
    return tuple(plugin.name for plugin in plugins.values() if plugin.needs in grant.methods)


def with_calls(draft: Draft, names: tuple[str, ...]) -> Draft:
    """The info event with these methods beside the others."""
    return Draft(draft.kind, draft.tags, " ".join((draft.content, *names))) if names else draft
