"""``--on-paid CMD``: a program of yours is run for each payment that comes, one after the other."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from kitestring.base.errors import Exit, KitestringError, Reason
from kitestring.base.text import escape_unsafe, one_line

if TYPE_CHECKING:
    from kitestring.app.cli.shell import Shell

#: Seconds that it may take for one payment; then it, and what it has started, is killed.
MAX_RUN_S: Final = 60.0
HELP: Final = (
    "Run CMD for each payment that comes, with the payment as JSON on its standard input; at most "
    f"{MAX_RUN_S:.0f} s each. It is split into words as by a shell, but no shell runs it."
)


class OnPaid:
    """Runs ``typed`` ("" = nothing). Raises KitestringError(MALFORMED) where that is no command.

    No word of a payment stands in its arguments or its environment. What it prints goes to standard error.
    """

    def __init__(self, shell: Shell, typed: str) -> None:
        self._shell: Final = shell
        self.failures = 0
        try:
            self._words: Final = shlex.split(typed)
        except ValueError as error:
            raise KitestringError(Reason.MALFORMED, "--on-paid: a quote is not closed") from error
        if typed and not self._words:
            raise KitestringError(Reason.MALFORMED, "--on-paid is empty: name a program")

    @property
    def exit_code(self) -> Exit:
        """The exit code of a command that has run it, and has no other trouble."""
        return Exit.INTERNAL if self.failures else Exit.OK

    def run(self, told: Mapping[str, Any]) -> bool:
        """Run it for one payment, and wait for its end; whether it ended well. Says in one sentence if not.

        Ctrl-C waits for its end, a second one kills it.
        """
        if not self._words:
            return True
        trouble = self._trouble(told)
        if trouble:
            self.failures += 1
            of = one_line(str(told.get("payment_hash") or ""), 64)
            self._shell.warn(f"--on-paid {one_line(self._words[0])} {trouble}, for the payment {of}")
        return not trouble

    def _trouble(self, told: Mapping[str, Any]) -> str:
        """Run it; the words for what was wrong, "" for nothing."""
        line = escape_unsafe(json.dumps(told, separators=(",", ":"), ensure_ascii=False)) + "\n"
        try:  # in a session of its own, so that Ctrl-C is for us, and all that it has started can be ended
            child = subprocess.Popen(self._words, stdin=subprocess.PIPE, stdout=2, start_new_session=True)  # noqa: S603 - the user has typed it
        except OSError as error:
            return f"cannot be started ({(error.strerror or 'refused').lower()})"
        interrupted = False
        try:
            try:
                child.communicate(line.encode(), MAX_RUN_S)
            except KeyboardInterrupt:
                interrupted = True
                child.wait(MAX_RUN_S)
        except subprocess.TimeoutExpired:
            _kill(child)
            return f"took more than {MAX_RUN_S:.0f} s and was killed"
        except BaseException:
            _kill(child)
            raise
        if interrupted:
            raise KeyboardInterrupt
        if child.returncode < 0:
            return f"was ended by signal {-child.returncode}"
        return f"failed with exit code {child.returncode}" if child.returncode else ""


def _kill(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        child.kill()
    child.wait()
    if child.stdin is not None:
        child.stdin.close()
