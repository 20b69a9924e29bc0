"""The owner of the test chain's first coins: a private key everybody knows, and one signature with it.

btcd mines but has no wallet, and would have to be restarted to mine into lnd's. So it mines for this key, whose oldest
coins are then sent to the nodes.
"""

import hashlib

from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# The private key 1 and its pay-to-public-key-hash address on test chains.
_KEY = ec.derive_private_key(1, ec.SECP256K1())
_PUBLIC = _KEY.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
ADDRESS = "mrCDrCybB6J1vRfbwM5hemdJz73FwDBC8r"
_KEY_HASH = bytes.fromhex("751e76e8199196d454941c45d1b3a323f1433bd6")
_LOCK = b"\x76\xa9\x14" + _KEY_HASH + b"\x88\xac"
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_SIGHASH_ALL = 1
# Version, count of inputs and the output that is spent stand before the one input's script.
_SCRIPT_AT = 4 + 1 + 36


def signed(unsigned: str) -> str:
    """A transaction with one input of this key, in hex, signed the way of before segwit."""
    raw = bytes.fromhex(unsigned)
    if raw[_SCRIPT_AT] != 0:
        raise ValueError("the transaction must have one input, and that no script yet")
    committed = _with_script(raw, _LOCK) + _SIGHASH_ALL.to_bytes(4, "little")
    digest = hashlib.sha256(hashlib.sha256(committed).digest()).digest()
    r, s = utils.decode_dss_signature(_KEY.sign(digest, ec.ECDSA(utils.Prehashed(SHA256()))))
    # Nodes relay only the lower of the two values of s that verify.
    signature = utils.encode_dss_signature(r, min(s, _ORDER - s)) + bytes([_SIGHASH_ALL])
    return _with_script(raw, _push(signature) + _push(_PUBLIC)).hex()


def _with_script(raw: bytes, script: bytes) -> bytes:
    return raw[:_SCRIPT_AT] + _push(script) + raw[_SCRIPT_AT + 1 :]


def _push(data: bytes) -> bytes:
    return bytes([len(data)]) + data
