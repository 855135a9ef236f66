"""Elements made of others: ``rdf:parseType="Resource"`` with each part once."""

from lxml import etree

from marketplace.documents.model import Broken
from marketplace.documents.reading import Problems, children, line_of, text_of
from marketplace.documents.vocabulary import XML, name_of, tag

_PLAIN = {f"{{{XML}}}lang", f"{{{XML}}}space", tag("rdf:datatype")}


def elements_of(
    element: etree._Element, names: tuple[str, ...], problems: Problems, *, many: str = ""
) -> dict[str, list[etree._Element]]:
    """The children by name, each exactly once; ``many`` at least once; nothing else."""
    name, line = name_of(element.tag), line_of(element)
    if element.get(tag("rdf:parseType")) != "Resource" or len(element.attrib) > 1:
        problems.add(
            "parse_type", name,
            f'{name} must have the attribute rdf:parseType="Resource", and no other.', line,
        )  # fmt: skip
    found: dict[str, list[etree._Element]] = {one: [] for one in names}
    for child in children(element):
        part = name_of(child.tag)
        if part in found:
            found[part].append(child)
        else:
            problems.add("unexpected", name, f"{name} cannot have {part}.", line_of(child))
    for part, those in found.items():
        if not those or (len(those) > 1 and part != many):
            how = "at least" if part == many else "exactly"
            problems.add(
                "exactly_one", name, f"{name} must have {how} 1 {part} element; it has "
                f"{len(those)}.", line,
            )  # fmt: skip
    for text in (element.text, *(child.tail for child in element)):
        if text and text.strip():
            problems.add(
                "text", name, f"{name} has text beside its elements: “{text.strip()[:40]}”.", line
            )
    return found


def parts_of(element: etree._Element, names: tuple[str, ...], problems: Problems) -> dict[str, str]:
    """The text of each part that is there once."""
    found = elements_of(element, names, problems)
    texts = {name: plain_text(those[0], problems) for name, those in found.items() if those}
    return {name: text for name, text in texts.items() if text is not None}


def plain_text(element: etree._Element, problems: Problems) -> str | None:
    """Its text; None with a problem noted."""
    for attribute in set(element.attrib) - _PLAIN:
        name = name_of(element.tag)
        problems.add(
            "attribute", name,
            f"{name} has the attribute {name_of(str(attribute))}, which means nothing there.",
            line_of(element),
        )  # fmt: skip
    try:
        return text_of(element)
    except Broken as broken:
        problems.found.extend(broken.problems)
        return None
