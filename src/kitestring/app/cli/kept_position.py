"""The position of ``kitestring watch`` in a file: kept after each payment is dealt with, and gone on from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kitestring.base.errors import KitestringError, Reason

#: The longest position of a wallet has about 13 kB.
MAX_BYTES: Final = 65_536


class KeptPosition:
    """``path`` None keeps it in memory alone. What failed is not passed: the position stays before it for good, so that
    the next start begins with it."""

    def __init__(self, path: Path | None) -> None:
        self._path: Final = path
        self._stays = False
        self.text: str | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep others off the file: two that go on from one position would run a program twice for each payment.
        Raises KitestringError(BUSY) where another does so, OSError where the file cannot be made."""
        if self._path is None:
            yield
            return
        import fcntl

        with self._path.with_name(f"{self._path.name}.lock").open("a") as lock:  # the file itself is replaced
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise KitestringError(
                    Reason.BUSY, f"another watch keeps its position in {self._path}: give each a file of its own"
                ) from error
            yield

    def load(self) -> str | None:
        """The kept position, None where there is no file yet. Raises KitestringError."""
        if self._path is None or not self._path.exists():
            return None
        try:
            with self._path.open(encoding="utf-8") as file:
                self.text = file.read(MAX_BYTES).strip()
        except UnicodeDecodeError as error:
            raise KitestringError(Reason.MALFORMED, f"{self._path} is not a file that --keep has written") from error
        if not self.text:  # to begin with now would pass over what came since
            raise KitestringError(
                Reason.MALFORMED, f"{self._path} is empty, and says no position: remove it to begin with now"
            )
        return self.text

    def move(self, text: str, *, is_dealt_with: bool = True) -> None:
        """Go on to ``text``, unless something was not dealt with. Raises OSError where it cannot be written."""
        self._stays = self._stays or not is_dealt_with
        if self._stays or text == self.text:
            return
        self.text = text
        if self._path is None:
            return
        from kitestring.app.home.datadir import write_whole

        write_whole(self._path, f"{text}\n".encode())
