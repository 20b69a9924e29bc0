"""A cosigner's side of a multisig round, over a wallet connection: python examples/multisig.py URI ROUND COSIGNERS KEY

It trusts no answer: what it prints follows from the keys, and its own must be among them. All cosigners print the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys

from kitestring import KitestringError, Wallet


def script_hash(keys: list[str], needed: int) -> str:
    """SHA-256 of the witness script of a multisig of these keys, in their sorted order (BIP-67): the P2WSH program."""
    pushed = b"".join(b"\x21" + bytes.fromhex(key) for key in sorted(keys))
    script = bytes([0x50 + needed]) + pushed + bytes([0x50 + len(keys), 0xAE])
    return hashlib.sha256(script).hexdigest()


async def main(uri: str, name: str, cosigners: int, key: str) -> str:
    async with Wallet.open(uri) as wallet:
        told: dict[str, object] = {}
        while told.get("joined") != cosigners:  # each answer waits some seconds for the others
            told = await wallet.call("multisig_join", {"round": name, "cosigners": cosigners, "key": key})
    keys = told["keys"]
    if not isinstance(keys, list) or len(set(keys)) != cosigners or key not in keys:
        raise SystemExit("these are not the keys of this round: do not use them")
    return f"{cosigners - 1} of {cosigners}: {script_hash(keys, cosigners - 1)}"


if __name__ == "__main__":
    if len(sys.argv) != 5:
        print("usage: python examples/multisig.py URI ROUND COSIGNERS KEY", file=sys.stderr)
        sys.exit(2)
    try:
        print(asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])))
    except KitestringError as error:
        sys.exit(f"error: {error}")
