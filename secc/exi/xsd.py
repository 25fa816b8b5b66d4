"""Reads the XSDs of one namespace: names resolved, imports followed, nothing fetched.

The schemas are ISO's and W3C's, so they are read from the installed iso15118 package, which is located, not imported.
ElementTree's parser loads no external DTD and resolves no external entity; the files' own size is bounded here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from secc.exi.errors import Reason, SchemaError
from secc.exi.namespaces import ROOT_SCHEMA, Namespace

XS = "{http://www.w3.org/2001/XMLSchema}"
MAX_SCHEMA_BYTES = 1 << 18
_IMPORT = XS + "import"
_REFERENCES = {"type", "ref", "base", "substitutionGroup"}
_FORMS = {XS + "element": "elementFormDefault", XS + "attribute": "attributeFormDefault"}

# (local name, namespace): this order is the order in which EXI sorts names.
QName: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Document:
    """One XSD. declarations: its element declarations, local ones too. attributes: names of its attributes."""

    root: Element
    imports: list[Path]
    declarations: list[Element]
    attributes: set[QName]


@dataclass(slots=True)
class Schema:
    """All declarations an EXI processor sees for one namespace, its imports included.

    In every node the attributes type, ref, base and substitutionGroup hold "{namespace}name" instead of "prefix:name",
    and element and attribute declarations carry their own in "qname".
    """

    elements: dict[str, Element] = field(default_factory=dict)
    types: dict[str, Element] = field(default_factory=dict)
    substitutes: dict[str, list[str]] = field(default_factory=dict)
    declarations: list[Element] = field(default_factory=list)
    attributes: set[QName] = field(default_factory=set)

    def add(self, document: Document) -> None:
        target = document.root.attrib["targetNamespace"]
        for node in document.root:
            if node.tag == XS + "element":
                name = node.attrib["qname"]
                self.elements[name] = node
                if head := node.get("substitutionGroup"):
                    self.substitutes.setdefault(head, []).append(name)
            elif node.tag in (XS + "complexType", XS + "simpleType"):
                self.types[f"{{{target}}}{node.attrib['name']}"] = node
        self.declarations += document.declarations
        self.attributes |= document.attributes


def split(name: str) -> QName:
    """ "{namespace}local" as (local, namespace)."""
    namespace, _, local = name[1:].rpartition("}")
    return local, namespace


@cache
def schema_folder() -> Path:
    spec = find_spec("iso15118")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        # Resolved as imports are: behind a symbolic link the root schema would be read twice, as two.
        folder = Path(location).resolve() / "shared" / "schemas"
        if folder.is_dir():
            return folder
    raise SchemaError(Reason.SCHEMA, "the iso15118 package with its schemas is not installed")


def read(namespace: Namespace) -> Schema:
    """The schema set of `namespace`. Raises SchemaError."""
    schema = Schema()
    waiting = [schema_folder() / ROOT_SCHEMA[namespace]]
    seen = set(waiting)
    while waiting:
        path = waiting.pop()
        document = _document(path)
        schema.add(document)
        fresh = [found for found in document.imports if found not in seen]
        seen.update(fresh)
        waiting.extend(fresh)
    return schema


@cache
def _document(path: Path) -> Document:
    root, prefixes = _parse(path)
    target = root.attrib["targetNamespace"]
    toplevel = set(root)
    document = Document(root, [_located(path, node.attrib["schemaLocation"]) for node in root.iter(_IMPORT)], [], set())
    for node in root.iter():
        attributes = node.attrib
        for key in _REFERENCES & attributes.keys():
            prefix, _, local = attributes[key].rpartition(":")
            attributes[key] = f"{{{prefixes.get(prefix, '')}}}{local}"
        form = _FORMS.get(node.tag)
        if form is not None and "name" in attributes:
            in_target = node in toplevel or root.get(form) == "qualified"
            name = attributes["qname"] = f"{{{target if in_target else ''}}}{attributes['name']}"
            if node.tag == XS + "element":
                document.declarations.append(node)
            else:
                document.attributes.add(split(name))
    return document


class _Builder(TreeBuilder):
    """Notes the prefixes, which names in attribute values are written with."""

    def __init__(self) -> None:
        super().__init__()
        self.prefixes: dict[str, str] = {}

    def start_ns(self, prefix: str, uri: str) -> None:
        self.prefixes[prefix] = uri


def _parse(path: Path) -> tuple[Element, dict[str, str]]:
    builder = _Builder()
    parser = XMLParser(target=builder)
    try:
        if path.stat().st_size > MAX_SCHEMA_BYTES:
            raise SchemaError(Reason.SCHEMA, f"{path.name} is larger than {MAX_SCHEMA_BYTES} bytes")
        parser.feed(path.read_bytes())
        root: Element = parser.close()
    except (OSError, ParseError) as error:
        raise SchemaError(Reason.SCHEMA, f"{path.name}: {error}") from error
    if root.tag != XS + "schema" or "targetNamespace" not in root.attrib:
        raise SchemaError(Reason.SCHEMA, f"{path.name} is not an XML schema")
    return root, builder.prefixes


def _located(importer: Path, location: str) -> Path:
    """The DIN and -20 schemas import the signature schema from a folder where it is not: take the one above."""
    beside = (importer.parent / location).resolve()
    return beside if beside.exists() else (importer.parent.parent / Path(location).name).resolve()
