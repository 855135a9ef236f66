"""A document's statements in RDF/JSON, as StratusLab's server answers. Source: W3C RDF/JSON."""

from typing import Any

from marketplace.documents.layout import lay_out
from marketplace.documents.reading import LARGEST_BYTES, read
from marketplace.documents.triples import Literal, Name, triples_of


def rdf_json(xml: bytes, *, largest_bytes: int = LARGEST_BYTES) -> dict[str, Any]:
    """Subjects, their properties, and the values of each. The signature is no part of it.

    Raises:
        Broken: the codes of ``reading``, ``layout`` and ``triples``.
    """
    layout = lay_out(read(xml, largest_bytes=largest_bytes))
    statements: dict[str, Any] = {}
    for subject, predicate, value in triples_of(layout.description):
        values = statements.setdefault(subject.value, {}).setdefault(predicate, [])
        values.append(_value(value))
    return statements


def _value(value: Name | Literal) -> dict[str, str]:
    if isinstance(value, Name):
        kind = "bnode" if value.value.startswith("_:") else "uri"
        return {"type": kind, "value": value.value}
    said = {"type": "literal", "value": value.value}
    if value.language:
        said["lang"] = value.language
    if value.datatype:
        said["datatype"] = value.datatype
    return said
