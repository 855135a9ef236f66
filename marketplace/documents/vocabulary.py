"""The names that metadata documents are made of. Source: stratuslab.md 6.1, W3C XMLDSig."""

from functools import lru_cache

from lxml import etree

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DCTERMS = "http://purl.org/dc/terms/"
SLREQ = "http://mp.stratuslab.eu/slreq#"
SLTERMS = "http://mp.stratuslab.eu/slterms#"
#: This portal's own: what StratusLab has no word for. Others ignore it.
SLPORTAL = "http://mp.stratuslab.eu/portal#"
DS = "http://www.w3.org/2000/09/xmldsig#"
XML = "http://www.w3.org/XML/1998/namespace"

#: Every document says so, and every relative name in it is meant so.
BASE = "http://mp.stratuslab.eu/"

PREFIXES = {
    "rdf": RDF,
    "dcterms": DCTERMS,
    "slreq": SLREQ,
    "slterms": SLTERMS,
    "slportal": SLPORTAL,
    "ds": DS,
    "xml": XML,
}
_PREFIX_OF = {namespace: prefix for prefix, namespace in PREFIXES.items()}

#: What a browser would run, or draw over the page, if it were shown the document.
ACTIVE = frozenset(
    {
        "http://www.w3.org/1999/xhtml",
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/XSL/Transform",
        "http://www.w3.org/1998/Math/MathML",
    }
)


@lru_cache(maxsize=256)
def tag(name: str) -> str:
    """lxml's name of "dcterms:valid"."""
    prefix, _, local = name.partition(":")
    return f"{{{PREFIXES[prefix]}}}{local}"


@lru_cache(maxsize=256)
def name_of(tag: str) -> str:
    """A name as people write it: "dcterms:valid"; "{…}x" where we have no prefix."""
    spelt = etree.QName(tag)
    prefix = _PREFIX_OF.get(spelt.namespace or "")
    if prefix:
        return f"{prefix}:{spelt.localname}"
    return f"{{{spelt.namespace}}}{spelt.localname}" if spelt.namespace else spelt.localname
