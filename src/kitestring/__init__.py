"""Let any Nostr key pay and be paid through any Lightning node."""

__version__ = "0.1.0"
