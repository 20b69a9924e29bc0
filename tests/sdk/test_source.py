"""What a source can do beyond the port is asked of it: a connection takes calls by name, a node does not."""

from __future__ import annotations

from pathlib import Path

from kitestring.codec.uri import encode_nwc
from kitestring.sdk.opening import open_source
from kitestring.sdk.source import CallSource
from tests.kit.client.hostile import net, nwc_uri


def test_a_wallet_behind_a_connection_takes_calls_and_a_node_does_not(tmp_path: Path) -> None:
    wallet = open_source(encode_nwc(nwc_uri("wss://relay.example")), net(), data_dir=None, environment={})
    node = open_source(f"sandbox://{tmp_path / 'world.db'}", net(), data_dir=tmp_path, environment={})
    assert [isinstance(source, CallSource) for source in (wallet, node)] == [True, False]
