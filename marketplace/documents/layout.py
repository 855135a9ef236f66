"""How a document is laid out: one description in the root, and its one signature after it."""

from dataclasses import dataclass

from lxml import etree

from marketplace.documents.reading import (
    Problems,
    children,
    elements,
    is_of_signature,
    line_of,
    refuse,
    signatures,
)
from marketplace.documents.vocabulary import BASE, XML, name_of, tag

_BASE = f"{{{XML}}}base"
_HARMLESS = {f"{{{XML}}}lang", f"{{{XML}}}space"}


@dataclass(frozen=True, slots=True)
class Layout:
    root: etree._Element
    description: etree._Element
    signature: etree._Element | None


def lay_out(root: etree._Element) -> Layout:
    """The parts of a document, where they are the only ones of their kind and in their place.

    Raises:
        Broken: ``root``, ``xml_base``, ``root_text``, ``description``, ``unexpected``,
            ``several_signatures``, ``misplaced_signature``.
    """
    if root.tag != tag("rdf:RDF"):
        name = name_of(root.tag)
        refuse("root", name, f"The root element must be rdf:RDF; it is {name}.", line_of(root))
    problems = Problems()
    _check_root(root, problems)
    signature = _only_signature(root, problems)
    described = _only_description(root, problems)
    problems.raise_if_any()
    assert described is not None  # noqa: S101  (or there was a problem)
    return Layout(root, described, signature)


def _check_root(root: etree._Element, problems: Problems) -> None:
    base = root.get(_BASE)
    if base != BASE:
        what = "has none" if base is None else f"has {base[:100]}"
        problems.add(
            "xml_base", "rdf:RDF",
            f"The root element must have xml:base attribute with value {BASE}; it {what}.",
            line_of(root),
        )  # fmt: skip
    for attribute in root.attrib:
        if attribute != _BASE and attribute not in _HARMLESS:
            name = name_of(str(attribute))
            problems.add(
                "attribute", "rdf:RDF", f"rdf:RDF has the attribute {name}, which means nothing "
                "there.", line_of(root),
            )  # fmt: skip
    for text in (root.text, *(child.tail for child in root)):
        if text and text.strip():
            problems.add(
                "root_text", "rdf:RDF",
                f"rdf:RDF has text beside its elements: “{text.strip()[:40]}”.", line_of(root),
            )  # fmt: skip


def _only_signature(root: etree._Element, problems: Problems) -> etree._Element | None:
    found = signatures(root)
    if len(found) > 1:
        problems.add(
            "several_signatures", "ds:Signature",
            f"The document must have at most 1 ds:Signature element; it has {len(found)}.",
            line_of(found[1]),
        )  # fmt: skip
        return None
    signature = found[0] if found else None
    if signature is not None and signature is not children(root)[-1]:
        problems.add(
            "misplaced_signature", "ds:Signature",
            "ds:Signature must be the last child of the root element.", line_of(signature),
        )  # fmt: skip
    inside = set(elements(signature)) if signature is not None else set()
    for element in elements(root):
        if is_of_signature(element) and element not in inside:
            name = name_of(element.tag)
            problems.add(
                "misplaced_signature", name, f"{name} belongs into the document's ds:Signature.",
                line_of(element),
            )  # fmt: skip
    return signature


def _only_description(root: etree._Element, problems: Problems) -> etree._Element | None:
    described = [child for child in children(root) if child.tag == tag("rdf:Description")]
    if len(described) != 1:
        problems.add(
            "description", "rdf:Description",
            "The root element must have exactly 1 rdf:Description element; it has "
            f"{len(described)}.", line_of(root),
        )  # fmt: skip
    for child in children(root):
        if child.tag not in (tag("rdf:Description"), tag("ds:Signature")):
            name = name_of(child.tag)
            problems.add(
                "unexpected", name,
                f"The root element has {name}; rdf:Description and ds:Signature are all it may "
                "have.", line_of(child),
            )  # fmt: skip
    return described[0] if described else None
