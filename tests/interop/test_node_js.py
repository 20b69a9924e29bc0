"""The foreign clients can be imported where the tests run them."""

import json
import subprocess
from pathlib import Path

from tests.conftest import NodeJs

_SCRIPT = """
import * as clink from "@shocknet/clink-sdk";
import { getPublicKey } from "nostr-tools/pure";
const one = new Uint8Array(32).fill(0, 0, 31); one[31] = 1;
console.log(JSON.stringify({ clink: Object.keys(clink).sort(), key: getPublicKey(one), websocket: typeof WebSocket }));
"""


def test_the_clients_are_the_pinned_ones_and_node_is_new_enough_for_them(node_js: NodeJs, tmp_path: Path) -> None:
    script = tmp_path / "look.mjs"
    script.write_text(_SCRIPT)
    said = subprocess.run(node_js.command(script), capture_output=True, text=True, timeout=60, check=True).stdout
    seen = json.loads(said)
    assert "ClinkSDK" in seen["clink"]
    assert seen["key"] == "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    assert seen["websocket"] == "function"
