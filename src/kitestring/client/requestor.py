"""The seed of the keys with which services are asked for debits: one file, made once, and never replaced.

What a service grants, it grants to a key. A new seed would lose every budget.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.ports import Entropy

FILE_NAME: Final = "requestor.key"
SEED_BYTES: Final = 32
_OTHERS: Final = 0o077


def requestor_seed(data_dir: Path, entropy: Entropy) -> bytes:
    """The 32 bytes in ``data_dir``, drawn and stored when they are first asked for.

    Raises KitestringError for a file that is damaged or open to others, which never shows what is in it.
    """
    path = data_dir / FILE_NAME
    if not path.exists():
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make(path, entropy(SEED_BYTES))
    return _read(path)


def _make(path: Path, seed: bytes) -> None:
    """Whole and durable, or not at all; a file that somebody else has made meanwhile stays."""
    handle, name = mkstemp(prefix=f".{path.name}.", dir=path.parent)  # for its owner alone
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(f"{seed.hex()}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _read(path: Path) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise _refused(f"{path} is no file: put the key back that was there")
        if stat.S_IMODE(found.st_mode) & _OTHERS:
            raise _refused(f"{path} can be read by others: run chmod 600 {path}")
        seed = bytes.fromhex(path.read_text(encoding="ascii"))
    except PermissionError as error:
        raise _refused(f"{path} belongs to another user") from error
    except ValueError:
        seed = b""
    if len(seed) != SEED_BYTES:
        raise _refused(f"{path} is damaged: it must hold 64 hex digits; every budget that was granted hangs on it")
    return seed


def _refused(sentence: str) -> KitestringError:
    return KitestringError(Reason.MALFORMED, sentence)
