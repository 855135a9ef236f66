"""The statements that a description makes: the part of RDF/XML that metadata uses.

Refused, because no metadata has them and each is one more way to say the same: statements in
attributes, rdf:ID, rdf:li, collections and containers. Source: W3C RDF 1.1 XML Syntax.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urljoin

from lxml import etree

from marketplace.documents.reading import children, line_of, refuse, text_of
from marketplace.documents.vocabulary import BASE, RDF, XML, name_of, tag

_LANGUAGE = f"{{{XML}}}lang"
_XML_LITERAL = f"{RDF}XMLLiteral"
_TERMS = {tag("rdf:type"), tag("rdf:value")}
_SETTINGS = {
    _LANGUAGE, f"{{{XML}}}space", tag("rdf:parseType"), tag("rdf:resource"), tag("rdf:nodeID"),
    tag("rdf:datatype"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Name:
    """Something that has a name: a URI, or "_:b1" for one that has none outside."""

    value: str


@dataclass(frozen=True, slots=True)
class Literal:
    value: str
    language: str = ""
    datatype: str = ""


Triple = tuple[Name, str, Name | Literal]


@dataclass(slots=True)
class _Reader:
    """``subject``: nothing but the description itself may speak of the image."""

    subject: str = ""
    blanks: int = 0
    triples: list[Triple] = field(default_factory=list)

    def description(self, element: etree._Element) -> Name:
        about, node = element.get(tag("rdf:about")), element.get(tag("rdf:nodeID"))
        for attribute in element.attrib:
            if attribute not in (tag("rdf:about"), tag("rdf:nodeID"), _LANGUAGE):
                _refuse(element, f"has the attribute {name_of(str(attribute))}; say it in an "
                        "element of its own")  # fmt: skip
        if about is not None and node is not None:
            _refuse(element, "has rdf:about and rdf:nodeID")
        if about is not None:
            subject = Name(_resolved(element, about))
        else:
            subject = self._node(element, node) if node is not None else self._blank()
        if element.tag != tag("rdf:Description"):
            kind = etree.QName(element)
            if not kind.namespace or kind.namespace == RDF:
                _refuse(element, "is not a kind of thing")
            self._say(subject, f"{RDF}type", Name(kind.namespace + kind.localname))
        self._no_text(element)
        for child in children(element):
            self.property(subject, child)
        return subject

    def property(self, subject: Name, element: etree._Element) -> None:
        spelt = etree.QName(element)
        if not spelt.namespace:
            _refuse(element, "has no namespace")
        if spelt.namespace == RDF and element.tag not in _TERMS:
            _refuse(element, "is not a property")
        for attribute in element.attrib:
            if attribute not in _SETTINGS:
                _refuse(element, f"has the attribute {name_of(str(attribute))}; say it in an "
                        "element of its own")  # fmt: skip
        self._say(subject, spelt.namespace + spelt.localname, self._value(element))

    def _value(self, element: etree._Element) -> Name | Literal:
        match element.get(tag("rdf:parseType")):
            case "Resource":
                return self._resource(element)
            case "Literal":
                return Literal(_inner_xml(element), datatype=_XML_LITERAL)
            case None:
                pass
            case other:
                _refuse(element, f'has rdf:parseType="{other[:40]}"')
        resource, node = element.get(tag("rdf:resource")), element.get(tag("rdf:nodeID"))
        if resource is not None or node is not None:
            if len(element) or (element.text or "").strip() or None not in (resource, node):
                _refuse(element, "names a resource, and says something else as well")
            if resource is not None:
                return Name(_resolved(element, resource))
            return self._node(element, node or "")
        if children(element):
            return self._nested(element)
        text_of(element)  # refuses comments
        datatype = element.get(tag("rdf:datatype"))
        if datatype:
            return Literal(element.text or "", datatype=_resolved(element, datatype))
        return Literal(element.text or "", language=_language(element))

    def _resource(self, element: etree._Element) -> Name:
        if {tag("rdf:resource"), tag("rdf:nodeID"), tag("rdf:datatype")} & set(element.attrib):
            _refuse(element, 'has rdf:parseType="Resource", and says something else as well')
        self._no_text(element)
        subject = self._blank()
        for child in children(element):
            self.property(subject, child)
        return subject

    def _nested(self, element: etree._Element) -> Name:
        inside = children(element)
        if len(inside) != 1 or element.get(tag("rdf:datatype")):
            _refuse(
                element, 'has child elements, and no rdf:parseType="Resource" that says what '
                "they are",
            )  # fmt: skip
        self._no_text(element)
        return self.description(inside[0])

    def _blank(self) -> Name:
        self.blanks += 1
        return Name(f"_:b{self.blanks}")

    def _node(self, element: etree._Element, label: str) -> Name:
        if not label.isidentifier():
            _refuse(element, "has an rdf:nodeID that is no name")
        return Name(f"_:n-{label}")

    def _say(self, subject: Name, predicate: str, value: Name | Literal) -> None:
        self.triples.append((subject, predicate, value))

    def _no_text(self, element: etree._Element) -> None:
        for text in (element.text, *(child.tail for child in element)):
            if text and text.strip():
                _refuse(element, f"has text beside its elements: “{text.strip()[:40]}”")


def triples_of(description: etree._Element) -> list[Triple]:
    """Every statement in a description.

    Raises:
        Broken: ``not_rdf``, ``comment_in_text``.
    """
    reader = _Reader()
    reader.description(description)
    return reader.triples


def check_property(element: etree._Element, subject: str) -> None:
    """Refuse what is no statement, or is one about ``subject`` from a place that nobody reads.

    Raises:
        Broken: ``not_rdf``, ``comment_in_text``.
    """
    reader = _Reader()
    reader.property(Name(subject), element)
    said = [triple for triple in reader.triples if triple[0].value == subject]
    if len(said) > 1:
        _refuse(element, "speaks of the image itself from inside; say it in the description")


def _refuse(element: etree._Element, what: str) -> None:
    name = name_of(element.tag)
    refuse("not_rdf", name, f"{name} {what}.", line_of(element))


def _resolved(element: etree._Element, reference: str) -> str:
    try:
        return urljoin(BASE, reference)
    except ValueError:
        _refuse(element, f"names something that is no address: {reference[:40]}")
        raise


def _language(element: etree._Element) -> str:
    for one in _upwards(element):
        if (said := one.get(_LANGUAGE)) is not None:
            return said.lower()
    return ""


def _upwards(element: etree._Element) -> Iterator[etree._Element]:
    yield element
    yield from element.iterancestors()


def _inner_xml(element: etree._Element) -> str:
    parts = [element.text or ""]
    for child in element:
        parts.append(etree.tostring(child, method="c14n", exclusive=True, with_tail=False).decode())
        parts.append(child.tail or "")
    return "".join(parts)
