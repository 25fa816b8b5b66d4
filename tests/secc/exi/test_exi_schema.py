"""The compiler: XSDs found but not fetched, and refused where they say what it does not know."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from secc.exi import ExiError, Namespace, Reason, SchemaError, xsd
from secc.exi.grammar import END, NODE, REFUSED, VALUE, Grammar
from secc.exi.tables import tables
from tests.secc.exi.exi_generator import Generator, possible_states, roots

HEAD = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:t" targetNamespace="urn:t">'


@pytest.fixture
def schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that is read in place of the SupportedAppProtocol schema."""
    monkeypatch.setattr(xsd, "schema_folder", lambda: tmp_path)
    yield tmp_path / "V2G_CI_AppProtocol.xsd"
    xsd._document.cache_clear()


def compiled(path: Path, body: str) -> Grammar:
    path.write_text(f"{HEAD}{body}</xs:schema>")
    return Grammar(xsd.read(Namespace.SAP))


def refusal(path: Path, body: str) -> str:
    with pytest.raises(SchemaError) as refused:
        compiled(path, body)
    assert refused.value.reason is Reason.SCHEMA
    return str(refused.value)


def test_events_are_ordered_attributes_elements_wildcard_end_text(schema: Path) -> None:
    grammar = compiled(
        schema,
        """<xs:element name="a"><xs:complexType mixed="true">
             <xs:choice minOccurs="0" maxOccurs="unbounded"><xs:any/><xs:element name="c" type="xs:string"/></xs:choice>
             <xs:attribute name="z" type="xs:string"/><xs:attribute name="b" type="xs:ID"/>
           </xs:complexType></xs:element>""",
    )
    [a, wildcard] = grammar.document.productions()
    assert wildcard.event == REFUSED
    content = a.content
    assert content is not None
    events = [(found.event, found.name) for found in content.productions()]  # type: ignore[union-attr]
    assert events == [
        (VALUE, "b"),
        (VALUE, "z"),
        (VALUE, "c"),
        (REFUSED, "wildcard"),
        (END, ""),
        (REFUSED, "mixed text"),
    ]


def test_substitutes_stand_for_their_head_in_order_of_names(schema: Path) -> None:
    grammar = compiled(
        schema,
        """<xs:complexType name="T" abstract="true"/><xs:element name="h" type="T"/>
           <xs:complexType name="U"><xs:complexContent><xs:extension base="T"/></xs:complexContent></xs:complexType>
           <xs:element name="z" type="U" substitutionGroup="h"/><xs:element name="b" type="U" substitutionGroup="z"/>
           <xs:element name="m"><xs:complexType><xs:sequence><xs:element ref="h"/></xs:sequence></xs:complexType>
           </xs:element>""",
    )
    [message] = [found for found in grammar.document.productions() if found.name == "m"]
    events = [(found.event, found.name) for found in message.content.productions()]  # type: ignore[union-attr]
    assert events == [(NODE, "b"), (NODE, "h"), (NODE, "z")]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('<xs:element name="a" type="xs:float"/>', "xs:float"),
        ('<xs:element name="a"/>', "no type"),
        (
            '<xs:element name="a"><xs:simpleType><xs:list itemType="xs:int"/></xs:simpleType></xs:element>',
            "restriction",
        ),
        (
            """<xs:element name="a"><xs:complexType><xs:choice maxOccurs="3"><xs:element name="b" type="xs:int"/>
               </xs:choice></xs:complexType></xs:element>""",
            "bounded number of times",
        ),
        (
            """<xs:complexType name="T"/><xs:element name="a"><xs:complexType><xs:complexContent>
               <xs:restriction base="T"/></xs:complexContent></xs:complexType></xs:element>""",
            "restriction",
        ),
        (
            """<xs:complexType name="T"><xs:sequence><xs:element name="b" type="xs:int"/></xs:sequence>
               </xs:complexType><xs:element name="a"><xs:complexType><xs:sequence><xs:element name="b" type="T"/>
               </xs:sequence></xs:complexType></xs:element>""",
            "two types",
        ),
    ],
)
def test_what_the_compiler_does_not_know_is_refused(schema: Path, body: str, said: str) -> None:
    assert said in refusal(schema, body)


@pytest.mark.parametrize(
    "text",
    ["", "<a/>", HEAD, "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>" + HEAD + "&b;</xs:schema>"],
    ids=["empty", "no schema", "unfinished", "an external entity"],
)
def test_what_is_no_schema_is_refused(schema: Path, text: str) -> None:
    schema.write_text(text)
    with pytest.raises(SchemaError):
        xsd.read(Namespace.SAP)


def test_entities_that_explode_are_refused(schema: Path) -> None:
    entities = "<!ENTITY e0 'x'>" + "".join(f"<!ENTITY e{n} '{f'&e{n - 1};' * 20}'>" for n in range(1, 12))
    schema.write_text(f"<!DOCTYPE a [{entities}]>{HEAD}&e11;</xs:schema>")
    with pytest.raises(SchemaError):
        xsd.read(Namespace.SAP)


def test_an_absent_or_a_large_schema_is_refused(schema: Path) -> None:
    with pytest.raises(SchemaError):
        xsd.read(Namespace.SAP)
    schema.write_text(HEAD + " " * xsd.MAX_SCHEMA_BYTES + "</xs:schema>")
    with pytest.raises(SchemaError, match="larger"):
        xsd.read(Namespace.SAP)


def test_without_the_package_there_are_no_schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xsd, "find_spec", lambda name: None)
    xsd.schema_folder.cache_clear()
    with pytest.raises(SchemaError, match="not installed"):
        xsd.schema_folder()
    xsd.schema_folder.cache_clear()


def test_a_namespace_is_compiled_once() -> None:
    assert tables(Namespace.SAP) is tables("urn:iso:15118:2:2010:AppProtocol")
    with pytest.raises(ExiError):
        tables("urn:none")


@pytest.mark.parametrize("namespace", Namespace, ids=lambda namespace: namespace.name)
def test_no_state_offers_a_name_twice_and_every_number_leads_somewhere(namespace: Namespace) -> None:
    states = tables(namespace).states
    for width, mask, productions, codes in states:
        assert mask == (1 << width) - 1
        assert len(productions) <= 1 << width
        names = [found[1] for found in productions if found[0] in (VALUE, NODE)]
        assert len(names) == len(set(names))
        assert all(productions[code][1] == name for name, code in (codes or {}).items())
        assert all(0 <= number < len(states) for found in productions for number in (found[3], found[4], found[6]))


def test_the_generator_reaches_every_state_that_is_possible() -> None:
    """So that the random messages elsewhere leave no corner out."""
    found = tables(Namespace.SAP)
    generator = Generator(found, random.Random(1))
    assert roots(found, fragment=False) == ["supportedAppProtocolReq", "supportedAppProtocolRes"]
    sizes = {
        len(generator.message(found.document, "supportedAppProtocolReq")["supportedAppProtocolReq"]["AppProtocol"])
        for _ in range(50)
    }
    assert len(sizes) > 1
    assert found.document in possible_states(found)


def test_schemas_behind_a_symbolic_link_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a virtual environment that is one: DIN's root schema is imported by its own parts."""
    straight = xsd.schema_folder()
    link = tmp_path / "iso15118"
    link.symlink_to(straight.parents[1])

    class Spec:
        submodule_search_locations = [str(link)]

    monkeypatch.setattr(xsd, "find_spec", lambda _: Spec)
    xsd.schema_folder.cache_clear()
    try:
        assert xsd.schema_folder() == straight
        assert len(xsd.read(Namespace.DIN).elements) > 0
    finally:
        xsd.schema_folder.cache_clear()
