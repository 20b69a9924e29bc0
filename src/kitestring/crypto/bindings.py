"""Three ways to reach libsecp256k1: btclib-secp256k1 (the dependency), coincurve, a system-wide shared library.

Each gives the same C functions under the same names; a binding adds how memory is made and read. Contexts are blinded
once with random bytes, which protects secrets from side channels and never changes a result.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

NONCE_MAGIC: Final = b"\xda\x6f\xb3\x8c"  # SECP256K1_SCHNORRSIG_EXTRAPARAMS_MAGIC
#: Shared objects tried when the linker's search finds none, newest ABI first.
SYSTEM_NAMES: Final = ("libsecp256k1.so.6", "libsecp256k1.so.5", "libsecp256k1.so.2", "libsecp256k1.so.1")
CONTEXT_SIGN_VERIFY: Final = 0x301  # needed before version 0.2, accepted ever since


@dataclass(frozen=True, slots=True)
class Binding:
    """``new`` makes zeroed memory for a C type, ``read`` copies bytes out of it, ``copy_x`` is an ECDH hash function
    that writes x first into 64 bytes, ``nonce_parameters`` makes sign_custom's last argument and what keeps it alive.
    """

    name: str
    lib: Any
    context: Any
    null: Any
    copy_x: Any
    new: Callable[[str], Any]
    read: Callable[[Any, int], bytes]
    nonce_parameters: Callable[[bytes], tuple[Any, Any]]


def _cffi(name: str, ffi: Any, lib: Any, context: Any, copy_x: Any) -> Binding:
    @cache
    def ctype(kind: str) -> Any:
        return ffi.typeof(kind if kind.endswith("]") else f"{kind} *")

    def nonce_parameters(aux: bytes) -> tuple[Any, Any]:
        data = ffi.from_buffer(aux)
        return ffi.new("secp256k1_schnorrsig_extraparams *", (NONCE_MAGIC, ffi.NULL, data)), data

    allocate = ffi.new
    return Binding(
        name, lib, context, ffi.NULL, copy_x, lambda kind: allocate(ctype(kind)), ffi.unpack, nonce_parameters
    )


def btclib() -> Binding:
    """The packaged library. Raises ImportError when it is not installed."""
    package = import_module("btclib_secp256k1")
    context = import_module("btclib_secp256k1.context").ctx
    return _cffi("btclib", package.ffi, package.lib, context, package.lib.btclib_secp256k1_ecdh_hash_function_xy)


def coincurve() -> Binding:
    """coincurve's build of the library. Raises ImportError when it is not installed."""
    compiled = import_module("coincurve._libsecp256k1")
    context = import_module("coincurve.context").GLOBAL_CONTEXT.ctx
    ffi = compiled.ffi

    def copy(output: Any, x: Any, _y: Any, _data: Any) -> int:
        ffi.memmove(output, x, 32)
        return 1

    kind = "int(unsigned char *, const unsigned char *, const unsigned char *, void *)"
    return _cffi("coincurve", ffi, compiled.lib, context, ffi.callback(kind, copy))


class _NonceParameters(ctypes.Structure):
    _fields_ = (("magic", ctypes.c_char * 4), ("noncefp", ctypes.c_void_p), ("ndata", ctypes.c_char_p))


_P, _I, _N = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
_HASH: Final = ctypes.CFUNCTYPE(_I, _P, _P, _P, _P)
#: Every function used, with its arguments after the context; all but the first two answer an int.
PROTOTYPES: Final[dict[str, tuple[Any, ...]]] = {
    "context_randomize": (_P,),
    "ec_seckey_verify": (_P,),
    "ec_pubkey_create": (_P, _P),
    "ec_pubkey_parse": (_P, _P, _N),
    "ec_pubkey_serialize": (_P, ctypes.POINTER(_N), _P, ctypes.c_uint),
    "xonly_pubkey_parse": (_P, _P),
    "xonly_pubkey_serialize": (_P, _P),
    "keypair_create": (_P, _P),
    "keypair_xonly_pub": (_P, _P, _P),
    "schnorrsig_sign32": (_P, _P, _P, _P),
    "schnorrsig_sign_custom": (_P, _P, _N, _P, ctypes.POINTER(_NonceParameters)),
    "schnorrsig_verify": (_P, _P, _N, _P),
    "ecdh": (_P, _P, _P, _HASH, _P),
    "ecdsa_sign_recoverable": (_P, _P, _P, _P, _P),
    "ecdsa_recoverable_signature_serialize_compact": (_P, ctypes.POINTER(_I), _P),
    "ecdsa_recoverable_signature_parse_compact": (_P, _P, _I),
    "ecdsa_recover": (_P, _P, _P),
    "ecdsa_signature_parse_compact": (_P, _P),
    "ecdsa_signature_normalize": (_P, _P),
    "ecdsa_verify": (_P, _P, _P),
}
_TYPES: Final[dict[str, Callable[[], Any]]] = {
    "int": _I * 1,
    "size_t": _N * 1,
    "char[32]": ctypes.c_char * 32,
    "char[33]": ctypes.c_char * 33,
    "char[64]": ctypes.c_char * 64,
    "secp256k1_pubkey": ctypes.c_char * 64,
    "secp256k1_xonly_pubkey": ctypes.c_char * 64,
    "secp256k1_ecdsa_signature": ctypes.c_char * 64,
    "secp256k1_ecdsa_recoverable_signature": ctypes.c_char * 65,
    "secp256k1_keypair": ctypes.c_char * 96,
}


def _write_x(output: int, x: int, _y: int, _data: int | None) -> int:
    ctypes.memmove(output, x, 32)
    return 1


_copy_x: Final = _HASH(_write_x)  # lives as long as the module: C keeps only the pointer


def _load_system() -> ctypes.CDLL:
    found = ctypes.util.find_library("secp256k1")
    for name in (*((found,) if found else ()), *SYSTEM_NAMES):
        try:
            library = ctypes.CDLL(name)
            for function, arguments in PROTOTYPES.items():
                entry = getattr(library, f"secp256k1_{function}")
                entry.argtypes, entry.restype = (_P, *arguments), _I
        except (OSError, AttributeError):  # absent, or built without a module that is needed here
            continue
        return library
    raise ImportError("no system-wide libsecp256k1 with schnorrsig, ecdh and recovery was found")


def system() -> Binding:
    """The operating system's shared library, through ctypes. Raises ImportError when there is none that will do."""
    library = _load_system()
    create = library.secp256k1_context_create
    create.argtypes, create.restype = (ctypes.c_uint,), _P
    context = create(CONTEXT_SIGN_VERIFY)
    library.secp256k1_context_randomize(context, ChaCha20Poly1305.generate_key())

    def nonce_parameters(aux: bytes) -> tuple[Any, Any]:
        return ctypes.byref(_NonceParameters(NONCE_MAGIC, None, aux)), aux

    def read(memory: Any, size: int) -> bytes:
        return bytes(memory.raw[:size])

    return Binding("system", library, context, None, _copy_x, lambda kind: _TYPES[kind](), read, nonce_parameters)


#: In order of preference.
BINDINGS: Final[tuple[Callable[[], Binding], ...]] = (btclib, coincurve, system)


def first_available() -> Binding:
    """Raises ImportError with one sentence when libsecp256k1 cannot be reached at all."""
    for load in BINDINGS:
        try:
            return load()
        except ImportError:
            continue
    raise ImportError("libsecp256k1 is missing: pip install btclib-secp256k1 (or coincurve, or the system's package)")
