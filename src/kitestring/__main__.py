"""``python -m kitestring`` and the command ``kitestring``."""

from __future__ import annotations

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Load the program and run it. Ctrl-C while it is loaded ends it without a word: there is nothing to close yet."""
    raising = signal.default_int_handler
    heard = signal.getsignal(signal.SIGINT) is raising  # not so behind nohup
    if heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from kitestring.app.cli import main as program  # noqa: PLC0415 - what takes so long

    if heard:
        signal.signal(signal.SIGINT, raising)
    program.main()


if __name__ == "__main__":
    main()
