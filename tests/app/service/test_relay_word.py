"""The word of a relay, as it goes into the answer of a command."""

from __future__ import annotations

import subprocess
import sys

import msgspec

from kitestring.app.service.relay_word import RelayWord, auth_words


def test_it_is_told_with_its_name_and_says_nothing_where_all_is_well() -> None:
    assert msgspec.to_builtins(RelayWord("wss://a.example", True)) == {
        "relay": "wss://a.example", "carries": True, "words": "",
    }  # fmt: skip


def test_the_commands_of_the_owner_load_no_network_for_it() -> None:
    code = "import sys, kitestring.app.owner.connections; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_it_means_that_a_relay_asks_who_we_are_is_said_with_the_time_that_it_takes() -> None:
    assert auth_words(0) == ""
    assert auth_words(199.02) == "asks each connection who it is, those used last first: about 200 s more"
