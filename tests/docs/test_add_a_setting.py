"""The setting of the page is read from the file that the page shows, and keeps the rules for all settings."""

from __future__ import annotations

import tomllib

import pytest

from kitestring.app.home.config import ROWS
from kitestring.app.home.settings import build, read_table, rows_of
from kitestring.base.errors import KitestringError
from tests.kit.pages import blocks, names_of

(CODE,) = blocks("add-a-setting")
(FILE,) = blocks("add-a-setting", "toml")
KEEPING = names_of(CODE, "keeping")["Keeping"]
PAGE_ROWS = rows_of(KEEPING)


def test_the_setting_of_the_page_is_read_from_the_file_of_the_page() -> None:
    assert KEEPING().answers_days == 30
    assert build(KEEPING, read_table(PAGE_ROWS, tomllib.loads(FILE), "file")).answers_days == 90


def test_a_mistake_names_the_file_the_key_and_what_is_expected() -> None:
    with pytest.raises(KitestringError) as caught:
        read_table(PAGE_ROWS, {"keeping": {"answers_days": 1}}, "file")
    assert caught.value.message == "file: keeping.answers_days must be a whole number from 7 to 3650"


def test_the_setting_of_the_page_has_what_every_setting_has() -> None:
    ((key, row),) = PAGE_ROWS.items()
    assert key not in ROWS
    assert row.kind.unit == "days"
    assert row.doc.endswith(".")
