"""The provider itself: what OpenSSL can have of a key held elsewhere, and what it cannot."""

import _ssl
import ctypes
import gc
import subprocess
import sys
import threading
from collections.abc import Callable
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p
from pathlib import Path

import pytest

from certs.keystore import Curve
from certs.tls import extkey, openssl, selfcheck
from certs.tls.extkey import ExternalKey
from certs.tls.identity import Identity
from certs.tls.openssl import OpenSslError
from certs.tls.vehicle import VehicleContext

ROOT = Path(__file__).parents[2]


def function(name: str, result: object, *arguments: object) -> Callable[..., int]:
    """A function of the same OpenSSL that the station itself has no use for."""
    found = getattr(ctypes.CDLL(_ssl.__file__), name)
    found.restype, found.argtypes = result, arguments
    return found


@pytest.fixture
def external(bench) -> ExternalKey:
    return ExternalKey(bench.keys.create(Curve.P256))


def test_the_public_half_can_be_had(external: ExternalKey) -> None:
    encode = function("i2d_PUBKEY", c_int, c_void_p, c_void_p)
    size = encode(external.pointer, None)
    buffer = ctypes.create_string_buffer(size)
    assert encode(external.pointer, byref(c_void_p(ctypes.addressof(buffer)))) == size
    assert buffer.raw.endswith(external.key.public_point)


def test_the_private_half_cannot(external: ExternalKey) -> None:
    assert function("i2d_PrivateKey", c_int, c_void_p, c_void_p)(external.pointer, None) <= 0
    number = c_void_p()
    asked = function("EVP_PKEY_get_bn_param", c_int, c_void_p, c_char_p, c_void_p)
    assert asked(external.pointer, b"priv", byref(number)) == 0
    assert number.value is None
    openssl.drain_errors()


@pytest.mark.parametrize("curve", list(Curve))
def test_what_openssl_asks_of_a_key(bench, curve: Curve) -> None:
    external = ExternalKey(bench.keys.create(curve))
    bits, security_bits, max_size = extkey.FACTS[curve]
    assert function("EVP_PKEY_get_bits", c_int, c_void_p)(external.pointer) == bits
    assert function("EVP_PKEY_get_security_bits", c_int, c_void_p)(external.pointer) == security_bits
    assert function("EVP_PKEY_get_size", c_int, c_void_p)(external.pointer) == max_size
    name, size = ctypes.create_string_buffer(64), c_size_t()
    group = function("EVP_PKEY_get_group_name", c_int, c_void_p, c_char_p, c_size_t, c_void_p)
    assert group(external.pointer, name, len(name), byref(size)) == 1
    assert name.value == extkey.GROUP_NAMES[curve]


def test_two_handles_of_one_key_are_equal(bench) -> None:
    equal = function("EVP_PKEY_eq", c_int, c_void_p, c_void_p)
    key, other = bench.keys.create(Curve.P256), bench.keys.create(Curve.P256)
    first, second, third = ExternalKey(key), ExternalKey(key), ExternalKey(other)
    assert equal(first.pointer, second.pointer) == 1
    assert equal(first.pointer, third.pointer) != 1
    openssl.drain_errors()


def test_a_digest_we_do_not_sign(external: ExternalKey) -> None:
    """Nothing older than SHA-256 is signed, whoever asks."""
    context = function("EVP_MD_CTX_new", c_void_p)()
    begin = function("EVP_DigestSignInit_ex", c_int, *[c_void_p] * 2, c_char_p, *[c_void_p] * 4)
    assert begin(context, None, b"SHA1", None, None, external.pointer, None) <= 0
    assert begin(context, None, b"SHA256", None, None, external.pointer, None) == 1
    function("EVP_MD_CTX_free", None, c_void_p)(context)
    openssl.drain_errors()


def test_nothing_is_left_of_signatures_made(bench, secc, vehicle, meet) -> None:
    context = VehicleContext([secc])
    for _ in range(5):
        assert meet(vehicle, context).connected
    gc.collect()
    assert extkey._signings == {}


def test_loading_twice_is_once() -> None:
    threads = [threading.Thread(target=extkey.load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert selfcheck.run().versions


def test_errors_carry_openssls_words(secc) -> None:
    with pytest.raises(OpenSslError, match=r"SSL_CTX_use_cert_and_key.*private key mismatch"):
        VehicleContext([Identity(selfcheck._ThrowAwayKey(), secc.chain_der)])


def test_contexts_may_live_to_the_end_of_the_interpreter() -> None:
    """Freed by the collector while the interpreter shuts down, when ctypes is half gone: no crash, nothing said."""
    script = """
from certs.tls import selfcheck
from certs.tls.identity import Identity
from certs.tls.vehicle import VehicleContext
key = selfcheck._ThrowAwayKey()
context = VehicleContext([Identity(key, (selfcheck._self_signed(key.private),))])
keep = [context]
keep.append(keep)
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
