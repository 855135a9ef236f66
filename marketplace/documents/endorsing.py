"""Who vouches, as the document says it: ``slreq:endorsement``."""

from collections.abc import Callable
from typing import TypeVar

from lxml import etree

from marketplace.documents import values
from marketplace.documents.certificates import LONGEST_NAME
from marketplace.documents.layout import Layout
from marketplace.documents.model import Endorsement
from marketplace.documents.reading import Problems, children, line_of
from marketplace.documents.resources import elements_of, plain_text
from marketplace.documents.vocabulary import name_of, tag

#: An issuer for each certificate of a chain.
MOST_ISSUERS = 10

T = TypeVar("T")


def endorsement_of(layout: Layout) -> Endorsement | None:
    """The endorsement; None if the document has none yet, or an empty one.

    Raises:
        Broken: with every problem of it.
    """
    problems = Problems()
    found = layout.description.findall(tag("slreq:endorsement"))
    if len(found) > 1:
        problems.add(
            "endorsement", "slreq:endorsement",
            "The document must contain exactly 1 slreq:endorsement element; it has "
            f"{len(found)}.", line_of(found[1]),
        )  # fmt: skip
    endorsement = None
    if len(found) == 1 and (children(found[0]) or (found[0].text or "").strip()):
        endorsement = _read(found[0], problems)
    problems.raise_if_any()
    return endorsement


def _read(element: etree._Element, problems: Problems) -> Endorsement | None:
    parts = elements_of(element, ("dcterms:created", "slreq:endorser"), problems)
    created = _one(parts["dcterms:created"], values.date, problems)
    email = subject = None
    issuers: list[str | None] = []
    for endorser in parts["slreq:endorser"][:1]:
        names = ("slreq:email", "slreq:subject", "slreq:issuer")
        said = elements_of(endorser, names, problems, many="slreq:issuer")
        email = _one(said["slreq:email"], values.email, problems)
        subject = _one(said["slreq:subject"], _name, problems)
        if len(said["slreq:issuer"]) > MOST_ISSUERS:
            problems.add(
                "too_many", "slreq:issuer",
                f"slreq:endorser must have at most {MOST_ISSUERS} slreq:issuer elements.",
                line_of(endorser),
            )  # fmt: skip
        issuers = [_one([one], _name, problems) for one in said["slreq:issuer"][:MOST_ISSUERS]]
    if problems.found or created is None or email is None or subject is None:
        return None
    known = tuple(issuer for issuer in issuers if issuer is not None)
    return Endorsement(created=created, email=email, subject=subject, issuers=known)


def _one(elements: list[etree._Element], read: Callable[[str], T], problems: Problems) -> T | None:
    if not elements:
        return None
    text = plain_text(elements[0], problems)
    if text is None:
        return None
    try:
        return read(text)
    except ValueError as error:
        name = name_of(elements[0].tag)
        problems.add("value", name, f"{name} value ({text[:60]}) {error}.", line_of(elements[0]))
    return None


def _name(text: str) -> str:
    if not text:
        raise ValueError("is empty")
    return values.line(text, LONGEST_NAME)
