"""The C reader and writer of the same tables, built here from its source: equal results, equal refusals."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from secc.exi import ExiError, Namespace, codec, decoder, encoder
from secc.exi.tables import Tables, tables
from tests.fuzz.exi import corpus, mutated
from tests.secc.exi.exi_generator import Generator, roots
from tests.secc.exi.exi_messages import KINDS

REPOSITORY = Path(__file__).parents[3]
MUTATIONS = 20_000


@pytest.fixture(scope="module")
def accelerator(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    target = tmp_path_factory.mktemp("accelerator")
    command = [sys.executable, "setup.py", "-q", "build_ext", f"--build-lib={target}", f"--build-temp={target}/temp"]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, timeout=100)
    built = sorted(target.rglob("_accelerator*"))
    if not [path for path in built if path.suffix in (".so", ".pyd")]:
        pytest.skip("no C compiler")
    [path] = [path for path in built if path.suffix in (".so", ".pyd")]
    assert ".abi3." in path.name
    spec = importlib.util.spec_from_file_location("secc.exi._accelerator", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def accelerated(accelerator: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    codec._accelerated.cache_clear()
    monkeypatch.setattr(codec, "accelerator", accelerator)
    yield
    codec._accelerated.cache_clear()


def starts(found: Tables) -> list[tuple[bool, int]]:
    return [(False, found.document), (True, found.fragment)]


@pytest.mark.parametrize("namespace", Namespace, ids=lambda namespace: namespace.name)
def test_random_messages_are_equal(accelerator: ModuleType, namespace: Namespace) -> None:
    found = tables(namespace)
    loaded = accelerator.load(found.states)
    generator = Generator(found, random.Random(f"accelerator {namespace}"), wide=False)
    left_to_python = written = 0
    for fragment, start in starts(found):
        for root in roots(found, fragment=fragment):
            message = generator.message(start, root)
            octets = encoder.encode(found, message, fragment=fragment)
            by_c = accelerator.encode(loaded, start, message)
            assert by_c in (None, octets)
            assert accelerator.decode(loaded, start, octets) in (None, message)
            left_to_python += by_c is None
            written += 1
    assert left_to_python < written / 4, "only integers beyond 63 bits are left to Python"


@pytest.mark.parametrize("kind", KINDS)
def test_plausible_messages_are_all_its_own_work(accelerator: ModuleType, kind: str) -> None:
    namespace, message, fragment = KINDS[kind]
    found = tables(namespace)
    start = found.fragment if fragment else found.document
    loaded = accelerator.load(found.states)
    octets = encoder.encode(found, message, fragment=fragment)
    assert accelerator.encode(loaded, start, message) == octets
    assert accelerator.decode(loaded, start, octets) == message
    assert accelerator.decode(loaded, start, octets + b"\0") == message


@pytest.mark.usefixtures("accelerated")
def test_mutated_messages_fare_alike() -> None:
    rng = random.Random(3)
    seeds = corpus(rng)
    for _ in range(MUTATIONS):
        namespace, data, fragment = rng.choice(seeds)
        data = mutated(data, rng)
        assert outcome(codec.decode, namespace, data, fragment) == outcome(by_python, namespace, data, fragment)


def by_python(namespace: str, data: bytes, *, fragment: bool) -> dict[str, object]:
    return decoder.decode(tables(namespace), data, fragment=fragment)


def outcome(call: Any, namespace: str, data: bytes, fragment: bool) -> Any:
    try:
        return call(namespace, data, fragment=fragment)
    except ExiError as error:
        return str(error)


@pytest.mark.usefixtures("accelerated")
@pytest.mark.parametrize(
    "spoilt",
    [
        {"ResponseCode": "Perhaps"},
        {"ResponseCode": "OK_SuccessfulNegotiation", "SchemaID": 256},
        {"ResponseCode": "OK_SuccessfulNegotiation", "SchemaID": True},
        {"ResponseCode": "OK_SuccessfulNegotiation", "SchemaID": "1"},
        {"ResponseCode": "OK_SuccessfulNegotiation", "Schema": 1},
        {"ResponseCode": []},
        {"SchemaID": 1},
        {},
        None,
    ],
)
def test_refusals_are_worded_alike(spoilt: Any) -> None:
    message = {"supportedAppProtocolRes": spoilt}
    with pytest.raises(ExiError) as accelerated:
        codec.encode(Namespace.SAP, message)
    with pytest.raises(ExiError) as plain:
        encoder.encode(tables(Namespace.SAP), message, fragment=False)
    assert str(accelerated.value) == str(plain.value)


@pytest.mark.usefixtures("accelerated")
@pytest.mark.parametrize("text", ["Grüße", "漢字", "😀", "", "a" * 2000])
def test_text_beyond_ascii_is_left_to_python(text: str) -> None:
    message = {"KeyInfo": {"KeyName": [text], "MgmtData": ["b"]}}
    octets = codec.encode(Namespace.XMLDSIG, message, fragment=True)
    assert octets == encoder.encode(tables(Namespace.XMLDSIG), message, fragment=True)
    assert codec.decode(Namespace.XMLDSIG, octets, fragment=True) == message


def test_wrong_arguments_are_refused(accelerator: ModuleType) -> None:
    found = tables(Namespace.SAP)
    loaded = accelerator.load(found.states)
    for wrong in ((), (loaded,), (object(), 0, b""), (loaded, len(found.states), b""), (loaded, "0", b"")):
        with pytest.raises((TypeError, ValueError)):
            accelerator.decode(*wrong)
    beyond_table = (0, 1, 1, 9, (), (None, 0, 1, int))
    nowhere = (0, 1, 1, 0, range(2), (None, 0, 1, int))
    for rows in (
        ((1, 1),),
        ((99, 1, (), None),),
        ((1, 1, ((1, "a", beyond_table, 0, 0, 0, 0),), None),),
        ((1, 1, ((1, "a", nowhere, 0, 7, 0, 0),), None),),
    ):
        with pytest.raises((TypeError, ValueError, IndexError)):
            accelerator.load(rows)


@pytest.mark.usefixtures("accelerated")
def test_it_keeps_nothing(accelerator: ModuleType) -> None:
    namespace, message, fragment = KINDS["CertificateInstallationRes"]
    octets = codec.encode(namespace, message, fragment=fragment)
    for _ in range(50):
        codec.decode(namespace, octets)
    before = sys.getallocatedblocks()
    for _ in range(2000):
        codec.decode(namespace, octets)
        codec.encode(namespace, message)
        accelerator.load(tables(Namespace.SAP).states)
    assert sys.getallocatedblocks() - before < 200
