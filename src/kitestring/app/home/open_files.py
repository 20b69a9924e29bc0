"""The limit of this process on open files and sockets."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Final

#: Open files asked of the system: the connections of the relay and all of ours; more would only slow down children.
OPEN_FILES: Final = 16_384


def raise_open_files() -> None:
    """Raise the limit as far as the system allows; where that is too little, the relay takes fewer connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
