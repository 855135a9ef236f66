"""Many documents in one: the ``<metadata>`` wrapper of StratusLab's lists (stratuslab.md 6.5).

Each keeps its bytes, so that its signature holds. What the wrapper declares is not passed on: a
document that needs it was not whole before, and is refused when it is read.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NoReturn
from xml.parsers import expat

from marketplace.documents.reading import refuse

LARGEST_LIST_BYTES = 128 << 20
MOST_DOCUMENTS = 100_000
WRAPPER = "metadata"

_DECLARATION = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*<\?xml\s[^>]*\?>\s*")

_FIRST_TAG = re.compile(rb"""<[^\s/>]+(?:\s+[^\s=]+\s*=\s*(?:"[^"]*"|'[^']*'))*\s*(?P<empty>/?)>""")


def split_list(xml: bytes, *, largest_bytes: int = LARGEST_LIST_BYTES) -> list[bytes]:
    """The documents in a list, in its order, each to the byte. None of them is judged.

    Raises:
        Broken: ``too_large``, ``not_xml``, ``doctype``, ``encoding``, ``not_a_list``, ``too_many``.
    """
    if len(xml) > largest_bytes:
        refuse("too_large", "", f"The list has {len(xml):,} bytes; {largest_bytes:,} is most.")
    return _Splitter(xml).split()


def wrap_list(documents: Iterable[bytes]) -> Iterator[bytes]:
    """A list of documents, piece by piece. They have to be in UTF-8, as those that we read are."""
    yield b'<?xml version="1.0" encoding="UTF-8"?>\n<metadata>\n'
    for document in documents:
        yield _DECLARATION.sub(b"", document).rstrip() + b"\n"
    yield b"</metadata>\n"


def is_list(xml: bytes) -> bool:
    """Whether its root element is that of a list. What is no XML, or has a DOCTYPE, is none."""
    return _Root().name_in(xml).rpartition(":")[2] == WRAPPER


class _Found(Exception):
    """The name of the root is known: the rest is not read."""


class _Root:
    """Reads up to the first tag; a pattern would try in how many ways comments can be read."""

    def __init__(self) -> None:
        self.name = ""
        self.parser = parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.StartDoctypeDeclHandler = self._doctype

    def name_in(self, xml: bytes) -> str:
        with suppress(_Found, expat.ExpatError):
            self.parser.Parse(xml, True)
        return self.name

    def _start(self, name: str, attributes: dict[str, str]) -> NoReturn:
        self.name = name
        raise _Found

    def _doctype(self, *_: object) -> NoReturn:
        raise _Found


class _Splitter:
    """Goes through a list once, and notes where each element below the root begins and ends."""

    def __init__(self, xml: bytes) -> None:
        self.xml, self.depth, self.begins = xml, 0, 0
        self.documents: list[bytes] = []
        self.parser = parser = expat.ParserCreate()
        parser.XmlDeclHandler = self._declared
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end

    def split(self) -> list[bytes]:
        try:
            self.parser.Parse(self.xml, True)
        except expat.ExpatError as error:
            said = expat.ErrorString(error.code)
            refuse("not_xml", "", f"The list is not well-formed XML: {said}.", error.lineno)
        return self.documents

    def _declared(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding and encoding.lower() not in ("utf-8", "us-ascii"):
            self._stop("encoding", f"The list says it is in {encoding[:40]}; it has to be UTF-8.")

    def _doctype(self, *_: object) -> None:
        self._stop("doctype", "The list has a document type (DOCTYPE), which lists have not.")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth == 1 and name.rpartition(":")[2] != WRAPPER:
            self._stop("not_a_list", f"The root element of a list is {WRAPPER}; it is {name[:60]}.")
        if self.depth == 2:
            self.begins = self.parser.CurrentByteIndex

    def _end(self, name: str) -> None:
        if self.depth == 2:
            self.documents.append(self.xml[self.begins : self._end_of_tag()])
            if len(self.documents) > MOST_DOCUMENTS:
                self._stop("too_many", f"The list has more than {MOST_DOCUMENTS:,} documents.")
        self.depth -= 1

    def _end_of_tag(self) -> int:
        """Where the tag that ends the element ends. One that is empty has no other tag."""
        first = _FIRST_TAG.match(self.xml, self.begins)
        if first is None or first["empty"]:
            self._stop("not_a_list", "The list has an empty element where a document should be.")
        return self.xml.index(b">", self.parser.CurrentByteIndex) + 1

    def _stop(self, code: str, sentence: str) -> NoReturn:
        refuse(code, "", sentence, self.parser.CurrentLineNumber)
