"""The limits that this process sets itself: open files and sockets, and no picture of its memory on the disk."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Final

#: Open files asked of the system: the connections of the relay and all of ours; more would only slow down children.
OPEN_FILES: Final = 16_384


def set_process_limits() -> None:
    """Ask for more open files, as far as the system allows: where that is too little, the relay takes fewer
    connections. A crash must leave no core file: the keys are in it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
