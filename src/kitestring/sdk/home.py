"""The directory in which a program keeps what has to outlive it."""

from __future__ import annotations

from pathlib import Path


def home_of(data_dir: Path | None) -> Path:
    """The directory that is named, or the user's own for kitestring."""
    if data_dir is not None:
        return data_dir
    from platformdirs import user_data_path  # noqa: PLC0415 - not needed where the directory is named

    return user_data_path("kitestring", appauthor=False)
