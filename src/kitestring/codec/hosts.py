"""Hosts by their text: which of them lead into a private network. What a name leads to shows when it is resolved."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to this IPv6 address end up at, if it is one of the translating kinds."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour


def is_public(address: str) -> bool:
    """Whether a literal IP address is global and unicast; v4-mapped, NAT64 and 6to4 count as what they lead to."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        if (inner := _embedded(parsed)) is not None:
            return inner.is_global and not inner.is_multicast
        if parsed not in _GLOBAL_UNICAST or parsed.scope_id is not None:
            return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


def is_private_by_text(host: str) -> bool:
    """Whether a host leads into a private network by its text alone. What a name leads to shows when it is resolved."""
    literal = ":" in host or host.replace(".", "").isdigit()
    is_local = host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
    return is_local or (literal and not is_public(host))
