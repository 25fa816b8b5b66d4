"""EXIficient, the library inside the jar, on the same XSDs: XML in and out, every message and every fragment.

Without the jar's own layer it knows nothing of V2G, so it is right where that layer is not. Needs a Java runtime.
"""

from __future__ import annotations

import shutil
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from secc.exi import Namespace
from secc.exi.namespaces import ROOT_SCHEMA
from secc.exi.xsd import schema_folder


class Exificient:
    """work: a directory for a copy of the schemas in which every import is found and nothing is fetched."""

    def __init__(self, work: Path) -> None:
        from iso15118.shared.settings import JAR_FILE_PATH
        from py4j.java_gateway import JavaGateway

        self._schemas = work / "schemas"
        copy_schemas(self._schemas)
        self._gateway = JavaGateway.launch_gateway(classpath=JAR_FILE_PATH, die_on_exit=True)
        self._java = self._gateway.jvm
        self._factories = cache(self._factory)

    def _factory(self, namespace: Namespace, fragment: bool) -> Any:
        exi = self._java.com.siemens.ct.exi
        grammars = exi.grammars.GrammarFactory.newInstance().createGrammars(str(self._schemas / ROOT_SCHEMA[namespace]))
        factory = exi.core.helpers.DefaultEXIFactory.newInstance()
        factory.setGrammars(grammars)
        factory.setFragment(fragment)
        factory.setValuePartitionCapacity(0)
        return factory

    def to_xml(self, namespace: Namespace, octets: bytes, *, fragment: bool) -> str:
        java = self._java
        source = java.com.siemens.ct.exi.main.api.sax.EXISource(self._factories(namespace, fragment))
        source.setInputSource(java.org.xml.sax.InputSource(java.java.io.ByteArrayInputStream(octets)))
        text = java.java.io.StringWriter()
        transformer = java.javax.xml.transform.TransformerFactory.newInstance().newTransformer()
        transformer.transform(source, java.javax.xml.transform.stream.StreamResult(text))
        return str(text.toString())

    def to_exi(self, namespace: Namespace, xml: str, *, fragment: bool) -> bytes:
        java = self._java
        octets = java.java.io.ByteArrayOutputStream()
        result = java.com.siemens.ct.exi.main.api.sax.EXIResult(self._factories(namespace, fragment))
        result.setOutputStream(octets)
        reader = java.org.xml.sax.helpers.XMLReaderFactory.createXMLReader()
        reader.setContentHandler(result.getHandler())
        reader.parse(java.org.xml.sax.InputSource(java.java.io.StringReader(xml)))
        return bytes(octets.toByteArray())

    def close(self) -> None:
        """Ends the JVM this object started."""
        process = self._gateway.java_process
        self._gateway.shutdown()
        process.terminate()
        process.wait(10)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def copy_schemas(target: Path) -> None:
    shutil.copytree(schema_folder(), target, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    signature = target / ROOT_SCHEMA[Namespace.XMLDSIG]
    text = signature.read_text()
    signature.write_text(text[: text.index("<!DOCTYPE")] + text[text.index("]>") + 2 :])
    for folder in ("din_spec", "iso15118_20"):
        shutil.copy(signature, target / folder)


def differences(element: ET.Element, value: Any, path: str = "") -> list[str]:
    """Where an XML element and a decoded value say different things."""
    path = f"{path}/{local(element.tag)}"
    if not isinstance(value, dict):
        return [] if (element.text or "") in texts(value) else [f"{path}: {element.text!r} and {value!r}"]
    found = []
    children: dict[str, list[ET.Element]] = {}
    for child in element:
        children.setdefault(local(child.tag), []).append(child)
    names = {local(name): text for name, text in element.attrib.items()}
    for name, held in value.items():
        if name in names:
            if names.pop(name) not in texts(held):
                found.append(f"{path}@{name}")
        elif name == "value" and "value" not in children:
            found += [] if (element.text or "") in texts(held) else [f"{path}: {element.text!r} and {held!r}"]
        else:
            items = held if isinstance(held, list) else [held]
            others = children.pop(name, [])
            found += [f"{path}/{name}: {len(others)} and {len(items)}"] if len(others) != len(items) else []
            for other, item in zip(others, items, strict=False):
                found += differences(other, item, path)
    return found + [f"{path}: {name} is not in the dict" for name in (*names, *children)]


def texts(value: Any) -> tuple[str, ...]:
    """The ways a value can be written in XML."""
    if isinstance(value, bytes):
        return value.hex().upper(), b64encode(value).decode()
    return (str(value).lower(),) if isinstance(value, bool) else (str(value),)


def local(name: str) -> str:
    return name.rpartition("}")[2]
