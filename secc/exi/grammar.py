"""From XSD particles to EXI grammar states (EXI 1.0, section 8.5.4), before they are numbered.

A state offers productions; a production consumes one event and names the state that follows. What is optional is
expressed by a state that also offers what its successor offers, so states hold both productions and other states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final
from xml.etree.ElementTree import Element

from secc.exi.errors import Reason, SchemaError
from secc.exi.namespaces import Namespace
from secc.exi.values import TEXT, ValueType, named, restricted
from secc.exi.xsd import XS, QName, Schema, split

# What a production means to the codec. Elements of simple type, attributes and the text of an element with attributes
# are all a value under a name.
VALUE: Final = 0
NODE: Final = 1
END: Final = 2
REFUSED: Final = 3

UNBOUNDED_REPEATS = 1 << 16

_RANK_NAMED, _RANK_WILDCARD, _RANK_END, _RANK_TEXT = range(4)


@dataclass(slots=True, eq=False)
class Production:
    """limit: 0 for a single occurrence, otherwise how often the name may occur; at the limit `exhausted` follows.
    element: the value has the two events around it (characters, end element) that an attribute's has not."""

    event: int
    name: str
    content: ValueType | State | None = None
    following: State | None = None
    limit: int = 0
    exhausted: State | None = None
    element: bool = False
    rank: int = _RANK_NAMED


@dataclass(slots=True, eq=False)
class State:
    """escapes: whether one more event code leads to the second level, where deviations from the schema are."""

    parts: list[Production | State] = field(default_factory=list)
    escapes: bool = True

    def productions(self) -> list[Production]:
        """In the order of their event codes."""
        found: dict[Production, None] = {}
        self._collect(found, set())
        return sorted(found, key=_rank)

    def _collect(self, found: dict[Production, None], seen: set[int]) -> None:
        seen.add(id(self))
        for part in self.parts:
            if type(part) is Production:
                found[part] = None
            elif type(part) is State and id(part) not in seen:
                part._collect(found, seen)


_rank = attrgetter("rank")

NOTHING = State([Production(REFUSED, "one more of them")])
_FINISH = Production(END, "", rank=_RANK_END)
_ANY = Production(REFUSED, "wildcard", rank=_RANK_WILDCARD)
_MIXED = Production(REFUSED, "mixed text", rank=_RANK_TEXT)


def _preference(name: QName) -> tuple[bool, QName]:
    return name[1] == Namespace.XMLDSIG, name


class Grammar:
    """The start states of one schema set: `document`, `fragment`, and those of its types as they are asked for."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._types: dict[str | int, State | ValueType] = {}
        self.document = self._document()
        self.fragment = self._fragment()

    def _document(self) -> State:
        after = State([_FINISH], escapes=False)
        elements = sorted(self._schema.elements, key=split)
        roots = [self._element(self._schema.elements[name], after) for name in elements]
        return State([*roots, _ANY], escapes=False)

    def _fragment(self) -> State:
        """Every element name of the schemas, local ones too; one whose declarations differ in type is `relaxed`.

        Of two names that differ only in their namespace the first is taken, one of XML signatures last: a dict's key
        cannot tell them apart, and none of them is an element that gets signed.
        """
        declared: dict[QName, dict[str | int, Element]] = {}
        for node in self._schema.declarations:
            declared.setdefault(split(node.attrib["qname"]), {})[self._type_key(node)] = node
        meant = {name[0]: name for name in sorted(declared, key=_preference, reverse=True)}
        after = State([Production(REFUSED, "a second root element") for _ in declared], escapes=False)
        after.parts += [_ANY, _FINISH]
        start = State(escapes=False)
        for name in sorted(declared):
            nodes = list(declared[name].values())
            production = Production(REFUSED, "an ambiguous name")
            if meant[name[0]] == name:
                production = self._element(nodes[0], after)
                if len(nodes) > 1:
                    production = Production(NODE, name[0], self._relaxed(nodes, len(declared)), after)
            start.parts.append(production)
        start.parts += [_ANY, Production(REFUSED, "no root element", rank=_RANK_END)]
        return start

    def _relaxed(self, nodes: Sequence[Element], element_names: int) -> State:
        """The schema-informed element fragment grammar (EXI 1.0, section 8.5.3): any attribute, any element, text.

        Only the attributes and the text of the declared types are taken, each once, so that a dict can hold them.
        """
        attributes: set[QName] = set()
        for node in nodes:
            definition = self._definition(node)
            if isinstance(definition, Element):
                if self._text(definition) is None:
                    raise SchemaError(Reason.SCHEMA, f"element {node.get('name')} has two types, one with elements")
                attributes |= {split(found.attrib["qname"]) for found in self._attributes(definition)}
        elements = [Production(REFUSED, "unexpected element") for _ in range(element_names)]
        end = State([*elements, _ANY, _FINISH, Production(REFUSED, "more text", rank=_RANK_TEXT)])
        content = State([*elements, _ANY, _FINISH, Production(VALUE, "value", TEXT, end, rank=_RANK_TEXT)])
        return self._relaxed_start(attributes, content)

    def _relaxed_start(self, attributes: set[QName], content: State) -> State:
        """Every attribute name of the schemas has a code here."""
        start = State()
        for name in sorted(self._schema.attributes):
            attribute = Production(REFUSED, "unexpected attribute")
            if name in attributes:
                following = self._relaxed_start(attributes - {name}, content)
                attribute = Production(VALUE, name[0], TEXT, following)
            start.parts.append(attribute)
        start.parts += [Production(REFUSED, "wildcard"), content]
        return start

    # -- types

    def _definition(self, node: Element) -> Element | ValueType:
        """The complex type node or the simple type of an element or attribute declaration."""
        name = node.get("type")
        if name is None:
            inline = node.find(XS + "complexType")
            if inline is not None:
                return inline
            simple = node.find(XS + "simpleType")
            if simple is None:
                raise SchemaError(Reason.SCHEMA, f"element {node.get('name')} has no type")
            return restricted(self._schema, simple)
        definition = self._schema.types.get(name)
        if definition is not None and definition.tag == XS + "complexType":
            return definition
        return named(self._schema, name)

    def _type_key(self, node: Element) -> str | int:
        return node.get("type") or id(node)

    def _content(self, node: Element) -> State | ValueType:
        key = self._type_key(node)
        if key not in self._types:
            definition = self._definition(node)
            if isinstance(definition, ValueType):
                self._types[key] = definition
            else:
                self._types[key] = start = State()
                start.parts.append(self._complex(definition))
        return self._types[key]

    def _complex(self, definition: Element) -> State:
        text = self._text(definition)
        end = State([_FINISH])
        if text is not None:
            state = State([Production(VALUE, "value", text, end, rank=_RANK_TEXT)])
        else:
            particles = _Particles(self, repeated=False, mixed=definition.get("mixed") == "true")
            if particles.mixed:
                end.parts.append(_MIXED)
            state = end
            for part in reversed(self._parts(definition)):
                state = particles.particle(part, state)
        for attribute in sorted(
            self._attributes(definition), key=lambda node: split(node.attrib["qname"]), reverse=True
        ):
            value = self._definition(attribute)
            assert isinstance(value, ValueType)
            required = attribute.get("use") == "required"
            production = Production(VALUE, attribute.attrib["name"], value, state)
            state = State([production] if required else [production, state])
        return state

    def _chain(self, definition: Element) -> list[Element]:
        """The type and what it extends, base first; each as the node that holds attributes and particles."""
        for derivation in (XS + "complexContent", XS + "simpleContent"):
            content = definition.find(derivation)
            if content is not None:
                extension = content.find(XS + "extension")
                if extension is None:
                    raise SchemaError(Reason.SCHEMA, f"type {definition.get('name')} is derived by restriction")
                base = self._schema.types.get(extension.attrib["base"])
                complex_base = base is not None and base.tag == XS + "complexType"
                return [*(self._chain(base) if base is not None and complex_base else ()), extension]
        return [definition]

    def _attributes(self, definition: Element) -> list[Element]:
        return [node for level in self._chain(definition) for node in level.findall(XS + "attribute")]

    def _parts(self, definition: Element) -> list[Element]:
        return [node for level in self._chain(definition) for node in level if node.tag in _PARTICLES]

    def _text(self, definition: Element) -> ValueType | None:
        content = definition.find(XS + "simpleContent")
        extension = content.find(XS + "extension") if content is not None else None
        return named(self._schema, extension.attrib["base"]) if extension is not None else None

    # -- elements

    def _choices(self, node: Element) -> list[Element]:
        """The declarations that may stand where `node` is: itself, or its substitution group in order of names.

        An abstract head is among them: it has its event code, and chargers do send an empty SASchedules.
        """
        name = node.get("ref")
        if name is None:
            return [node]
        group, waiting = [], [name]
        while waiting:
            member = waiting.pop()
            group.append(member)
            waiting.extend(self._schema.substitutes.get(member, ()))
        return [self._schema.elements[member] for member in sorted(group, key=split)]

    def _element(self, node: Element, following: State, limit: int = 0, exhausted: State | None = None) -> Production:
        content = self._content(node)
        simple = isinstance(content, ValueType)
        return Production(
            VALUE if simple else NODE, node.attrib["name"], content, following, limit, exhausted, element=simple
        )

    def elements(self, node: Element, following: State, limit: int, exhausted: State | None) -> list[Production]:
        return [self._element(choice, following, limit, exhausted) for choice in self._choices(node)]


class _Particles:
    """Turns the particles of one complex type into states."""

    def __init__(self, grammar: Grammar, *, repeated: bool, mixed: bool) -> None:
        self._grammar = grammar
        self._repeated = repeated
        self.mixed = mixed

    def particle(self, node: Element, after: State) -> State:
        """The state in which `node` is expected, when `after` is the one behind it."""
        least = int(node.get("minOccurs", "1"))
        most = node.get("maxOccurs", "1")
        if most == "1":
            start = self._once(node, after)
            if least == 0:
                start.parts.append(after)
            return start
        if most != "unbounded" and node.tag != XS + "element":
            raise SchemaError(Reason.SCHEMA, "a group repeated a bounded number of times")
        return self._loop(node, after, least, UNBOUNDED_REPEATS if most == "unbounded" else int(most))

    def _loop(self, node: Element, after: State, least: int, most: int) -> State:
        exhausted = NOTHING if most == UNBOUNDED_REPEATS else after
        loop = self._state()
        start = loop
        if node.tag == XS + "element":
            entry = self._state(self._grammar.elements(node, loop, most, exhausted))
        else:
            entry = _Particles(self._grammar, repeated=True, mixed=self.mixed)._once(node, loop)
        loop.parts += [entry, after]
        for count in range(least):
            start = entry if count == 0 else self._state(self._grammar.elements(node, start, most, exhausted))
        return start

    def _once(self, node: Element, after: State) -> State:
        if node.tag == XS + "element":
            limit = UNBOUNDED_REPEATS if self._repeated else 0
            return self._state(self._grammar.elements(node, after, limit, NOTHING if limit else None))
        if node.tag == XS + "any":
            return self._state([_ANY])
        inner = [child for child in node if child.tag in _PARTICLES]
        if node.tag == XS + "choice":
            return self._state([self.particle(child, after) for child in inner])
        state = after
        for child in reversed(inner):
            state = self.particle(child, state)
        return self._state([state])

    def _state(self, parts: Sequence[Production | State] = ()) -> State:
        return State([*parts, _MIXED] if self.mixed else list(parts))


_PARTICLES = {XS + kind for kind in ("element", "any", "sequence", "choice")}
