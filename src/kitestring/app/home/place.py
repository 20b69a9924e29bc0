"""The data directory that nobody has named; apart from the settings, because each press of TAB asks for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

DATA_DIR_VARIABLE: Final = "KITESTRING_DATA_DIR"


def default_data_dir(environment: Mapping[str, str] | None = None) -> Path:
    """``KITESTRING_DATA_DIR``, else the usual place for application data of this system."""
    named = (os.environ if environment is None else environment).get(DATA_DIR_VARIABLE, "")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_data_path  # noqa: PLC0415 - not needed where the directory is named

    return user_data_path("kitestring", appauthor=False)
