"""Random messages and fragments of all nine schemas, byte for byte and value for value, against EXIficient."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from xml.etree import ElementTree as ET

import pytest

from secc.exi import Namespace, encode
from secc.exi.tables import tables
from tests.secc.exi.exi_exificient import Exificient, differences
from tests.secc.exi.exi_generator import Generator, roots
from tests.secc.exi.exi_messages import KINDS
from tests.secc.exi.exi_oracle import JAVA

COUNT = int(os.environ.get("EXI_ORACLE_COUNT", "60"))
"""Messages and as many fragments of each namespace; a long run by hand sets it."""

pytestmark = pytest.mark.skipif(JAVA is None, reason="no Java runtime to run the other codec in")


@pytest.fixture(scope="module")
def exificient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exificient]:
    started = Exificient(tmp_path_factory.mktemp("exificient"))
    yield started
    started.close()


def agree(exificient: Exificient, namespace: Namespace, message: dict[str, object], *, fragment: bool) -> None:
    octets = encode(namespace, message, fragment=fragment)
    xml = exificient.to_xml(namespace, octets, fragment=fragment)
    [(_, content)] = message.items()
    assert differences(ET.fromstring(xml), content) == []
    assert exificient.to_exi(namespace, xml, fragment=fragment).hex() == octets.hex(), xml


@pytest.mark.parametrize("fragment", [False, True], ids=["document", "fragment"])
@pytest.mark.parametrize("namespace", Namespace, ids=lambda namespace: namespace.name)
def test_random_messages(exificient: Exificient, namespace: Namespace, fragment: bool) -> None:
    found = tables(namespace)
    rng = random.Random(f"exificient {namespace} {fragment}")
    generator = Generator(found, rng, wide=False)
    names = roots(found, fragment=fragment)
    for _ in range(COUNT):
        root = rng.choice(names)
        message = generator.message(found.fragment if fragment else found.document, root)
        agree(exificient, namespace, message, fragment=fragment)


@pytest.mark.parametrize("kind", KINDS)
def test_plausible_messages(exificient: Exificient, kind: str) -> None:
    namespace, message, fragment = KINDS[kind]
    agree(exificient, namespace, message, fragment=fragment)
