"""The three ways to reach libsecp256k1 give the same functions, and one that is there is found."""

from __future__ import annotations

import ctypes
import ctypes.util
from contextlib import suppress

import pytest

from kitestring.crypto import bindings
from kitestring.crypto.bindings import Binding


def test_the_dependency_is_preferred_to_its_stand_ins() -> None:
    assert bindings.first_available().name == "btclib"


def test_without_any_library_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> bindings.Binding:
        raise ImportError

    monkeypatch.setattr(bindings, "BINDINGS", (absent, absent))
    with pytest.raises(ImportError, match="pip install btclib-secp256k1"):
        bindings.first_available()


def test_the_next_binding_is_taken_when_one_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> bindings.Binding:
        raise ImportError

    monkeypatch.setattr(bindings, "BINDINGS", (absent, bindings.btclib))
    assert bindings.first_available().name == "btclib"


def _loaded() -> list[Binding]:
    found = [bindings.btclib()]
    for load in (bindings.coincurve, bindings.system):
        with suppress(ImportError):  # not installed here; the dependency above must be
            found.append(load())
    return found


each_binding = pytest.mark.parametrize("binding", _loaded(), ids=lambda binding: binding.name)


@each_binding
def test_every_function_that_is_used_is_there(binding: Binding) -> None:
    assert [name for name in bindings.PROTOTYPES if not hasattr(binding.lib, f"secp256k1_{name}")] == []


@each_binding
def test_memory_is_zeroed_when_it_is_made(binding: Binding) -> None:
    for size in (32, 33, 64):
        assert binding.read(binding.new(f"char[{size}]"), size) == bytes(size)


@each_binding
def test_ecdh_gives_the_x_of_the_shared_point_unhashed(binding: Binding) -> None:
    """As the point of 2 · 1 · G, which everybody knows."""
    public, output = binding.new("secp256k1_pubkey"), binding.new("char[64]")
    assert binding.lib.secp256k1_ec_pubkey_create(binding.context, public, (2).to_bytes(32)) == 1
    secret = (1).to_bytes(32)
    assert binding.lib.secp256k1_ecdh(binding.context, output, public, secret, binding.copy_x, binding.null) == 1
    twice_g = "c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"
    assert binding.read(output, 32).hex() == twice_g


def test_a_systems_library_that_lacks_a_module_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare:
        """Built without what is needed here."""

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Bare())
    monkeypatch.setattr(ctypes.util, "find_library", lambda _: "libsecp256k1.so.9")
    with pytest.raises(ImportError, match="no system-wide libsecp256k1"):
        bindings.system()
