"""From bytes to a tree, within limits. Nothing is fetched, nothing is expanded.

The document goes through expat first, which stops at the first thing too many and builds nothing.
Only then is the tree built. No entity can be declared: a document type is refused altogether.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn, cast
from xml.parsers import expat

from lxml import etree

from marketplace.documents.model import Broken, Problem
from marketplace.documents.vocabulary import ACTIVE, DS, XML, name_of, tag

LARGEST_BYTES = 1 << 20
MOST_ELEMENTS = 5_000
#: Steps from the root; the deepest that the format itself has is four.
DEEPEST = 24
MOST_ATTRIBUTES = 40  # of one element
#: Declarations and different names in all. Each is remembered by the library for as long as the
#: process lives, or compared with all others where the text for a signature is made.
MOST_NAMESPACES = 200
MOST_NAMES = 400
#: Canonical XML fails on a namespace without a scheme (section 1.3), whoever asks for it.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(slots=True)
class Problems:
    """What was found, so that all of it can be said at once."""

    found: list[Problem] = field(default_factory=list)

    def add(self, code: str, element: str, sentence: str, line: int | None = None) -> None:
        self.found.append(Problem(code=code, element=element, sentence=sentence, line=line))

    def raise_if_any(self) -> None:
        if self.found:
            raise Broken(*self.found)


def refuse(code: str, element: str, sentence: str, line: int | None = None) -> NoReturn:
    raise Broken(Problem(code=code, element=element, sentence=sentence, line=line))


def read(xml: bytes, *, largest_bytes: int = LARGEST_BYTES) -> etree._Element:
    """The root element of a document.

    Raises:
        Broken: ``empty``, ``too_large``, ``encoding``, ``not_xml``, ``doctype``, ``instruction``,
            ``too_many``, ``too_deep``, ``namespace``, ``active_content``.
    """
    if len(xml) > largest_bytes:
        refuse("too_large", "", f"The document has {len(xml):,} bytes; {largest_bytes:,} is most.")
    if not xml.strip():
        refuse("empty", "", "The document is empty.")
    _check_encoding(xml)
    _Counter().count(xml)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False,
        huge_tree=False, collect_ids=False, recover=False,
    )  # fmt: skip
    try:
        root = etree.fromstring(xml, parser)
    except etree.XMLSyntaxError as error:
        refuse("not_xml", "", f"The document is not well-formed XML: {error.msg}.", error.lineno)
    _check_content(root)
    return root


def _check_encoding(xml: bytes) -> None:
    try:
        xml.decode()
    except UnicodeDecodeError as error:
        line = xml.count(b"\n", 0, error.start) + 1
        refuse("encoding", "", f"The document is not in UTF-8, from byte {error.start:,} on.", line)


class _Counter:
    """Goes through a document once and stops at the first thing too many."""

    def __init__(self) -> None:
        self.elements = self.depth = self.namespaces = 0
        self.names: set[str] = set()
        self.parser = parser = expat.ParserCreate()
        parser.XmlDeclHandler = self._declared
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CommentHandler = self._comment

    def count(self, xml: bytes) -> None:
        try:
            self.parser.Parse(xml, True)
        except expat.ExpatError as error:
            said = expat.ErrorString(error.code)
            refuse("not_xml", "", f"The document is not well-formed XML: {said}.", error.lineno)

    def _declared(self, version: str, encoding: str | None, standalone: int) -> None:
        if version != "1.0":
            self._stop("not_xml", f"The document is XML {version[:10]}; it has to be XML 1.0.")
        if encoding and encoding.lower() not in ("utf-8", "us-ascii"):
            self._stop(
                "encoding", f"The document says it is in {encoding[:40]}; it has to be UTF-8."
            )

    def _doctype(self, *_: object) -> None:
        self._stop(
            "doctype",
            "The document has a document type (DOCTYPE). Metadata has none: remove it, and what "
            "it declares.",
        )

    def _instruction(self, target: str, data: str) -> None:
        self._stop(
            "instruction", f"The document has a processing instruction (<?{target[:40]} …?>). "
            "Metadata has none: remove it.",
        )  # fmt: skip

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._one_more()
        self.depth += 1
        self.names.add(name)
        self.names.update(attributes)
        for declared, uri in attributes.items():
            if declared == "xmlns" or declared.startswith("xmlns:"):
                self._namespace(declared, uri)
        if self.depth > DEEPEST:
            self._stop("too_deep", f"Elements are nested deeper than {DEEPEST} levels.")
        self._at_most(len(attributes), MOST_ATTRIBUTES, "attributes at one element")
        self._at_most(self.namespaces, MOST_NAMESPACES, "declarations of namespaces")
        self._at_most(len(self.names), MOST_NAMES, "different names of elements and attributes")

    def _namespace(self, declared: str, uri: str) -> None:
        self.namespaces += 1
        if uri and not _SCHEME.match(uri):
            self._stop(
                "namespace", f"{declared} declares the namespace “{uri[:80]}”, which is not an "
                "absolute address: it has no scheme (http:, urn: and so on), and what is in it "
                "can't be signed. Give its whole address.",
            )  # fmt: skip

    def _end(self, name: str) -> None:
        self.depth -= 1

    def _comment(self, text: str) -> None:
        self._one_more()

    def _one_more(self) -> None:
        self.elements += 1
        self._at_most(self.elements, MOST_ELEMENTS, "elements and comments")

    def _at_most(self, count: int, most: int, what: str) -> None:
        if count > most:
            self._stop("too_many", f"The document has more than {most:,} {what}.")

    def _stop(self, code: str, sentence: str) -> NoReturn:
        refuse(code, "", sentence, self.parser.CurrentLineNumber)


def _check_content(root: etree._Element) -> None:
    problems = Problems()
    for element in elements(root):
        namespace = etree.QName(element).namespace
        if namespace in ACTIVE:
            problems.add(
                "active_content", name_of(element.tag),
                f"The document has an element of {namespace}, which a browser would run or draw. "
                "Remove it.", line_of(element),
            )  # fmt: skip
        if element is not root and f"{{{XML}}}base" in element.attrib:
            problems.add(
                "xml_base", name_of(element.tag),
                f"{name_of(element.tag)} has an xml:base of its own; only the root element may.",
                line_of(element),
            )  # fmt: skip
    problems.raise_if_any()


def elements(root: etree._Element) -> Iterator[etree._Element]:
    """Every element in and with ``root``: no comments."""
    return root.iter(etree.Element)


def line_of(element: etree._Element) -> int | None:
    return cast("int | None", element.sourceline)  # lxml's stub has no type


def children(element: etree._Element) -> list[etree._Element]:
    """The elements right below: no comments."""
    return list(element.iterchildren(etree.Element))


def text_of(element: etree._Element) -> str:
    """Its text, without blanks around.

    Only whoever signed can add text, but anybody can add a comment: signatures don't cover those.
    Text with a comment in it is refused, so that nobody reads the half before it.

    Raises:
        Broken: ``children``, ``comment_in_text``.
    """
    name = name_of(element.tag)
    if children(element):
        refuse("children", name, f"{name} cannot have child elements.", line_of(element))
    if len(element):
        refuse(
            "comment_in_text", name, f"{name} has a comment inside its text. Move it out.",
            line_of(element),
        )  # fmt: skip
    return (element.text or "").strip()


def signatures(root: etree._Element) -> list[etree._Element]:
    return list(root.iter(tag("ds:Signature")))


def is_of_signature(element: etree._Element) -> bool:
    return etree.QName(element).namespace == DS
