"""Every cause for which nothing is spent has its way out, and says it in words that work."""

from __future__ import annotations

import re
import shlex

from kitestring.app.owner.stops import WAYS_OUT, EndedBy
from kitestring.base.records import StopCause
from tests.kit.app.console import commands


def test_each_cause_has_a_row() -> None:
    assert set(WAYS_OUT) == set(StopCause)


def test_what_only_the_owner_can_end_names_the_command_with_the_note_that_it_needs() -> None:
    for way in WAYS_OUT.values():
        assert ("kitestring allow-spending --note" in way.mend) == (way.ended_by is not EndedBy.ITSELF)


def test_the_commands_that_are_named_exist() -> None:
    for way in WAYS_OUT.values():
        for named in re.findall(r"`kitestring ([^`]+)`", way.mend):
            word, *options = shlex.split(named)
            known = {name for option in commands()[word].params for name in option.opts}
            assert {option for option in options if option.startswith("--")} <= known
