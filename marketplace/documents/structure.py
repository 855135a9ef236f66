"""What a ``ds:Signature`` must look like before anything in it is computed.

One reference, to the whole document but the signature itself; nothing that is fetched, looked up
by an identifier, or brought along in the signature. What is signed is then what is read.
"""

from dataclasses import dataclass

from lxml import etree

from marketplace.documents.algorithms import (
    CANONICALIZATIONS,
    DIGESTS,
    ENVELOPED,
    SIGNATURES,
)
from marketplace.documents.reading import children, line_of, refuse, text_of
from marketplace.documents.vocabulary import name_of, tag

MOST_CERTIFICATES = 10
#: Of one certificate, as text.
LONGEST_CERTIFICATE = 64 << 10

#: Beside the certificate people also write its key and its names: nothing is taken from those.
_IGNORED_KEY_INFO = {tag("ds:KeyName"), tag("ds:KeyValue")}
_IGNORED_X509 = {tag("ds:X509SubjectName"), tag("ds:X509IssuerSerial"), tag("ds:X509SKI")}


@dataclass(frozen=True, slots=True)
class Parts:
    """``certificates``: as text; the first is the signer's."""

    algorithm: str
    certificates: tuple[str, ...]


def parts_of_signature(signature: etree._Element) -> Parts:
    """
    Raises:
        Broken: ``signature_structure``, ``signature_algorithm``, ``certificate``.
    """
    for node in signature.iter():
        if not isinstance(node.tag, str):
            _refuse(signature, "has a comment inside")
    info, value, key_info = _exactly(signature, "ds:SignedInfo", "ds:SignatureValue", "ds:KeyInfo")
    _no_text(signature, info)
    text_of(value)
    method = _check_info(info)
    return Parts(algorithm=method, certificates=_certificates(key_info))


def _check_info(info: etree._Element) -> str:
    canonicalization, method, reference = _exactly(
        info, "ds:CanonicalizationMethod", "ds:SignatureMethod", "ds:Reference"
    )
    _one_of(canonicalization, CANONICALIZATIONS)
    _one_of(method, SIGNATURES)
    if reference.get("URI") != "":
        _refuse(reference, 'must have URI="", the whole document')
    _only(reference, "URI", "Id")
    transforms, digest, value = _exactly(
        reference, "ds:Transforms", "ds:DigestMethod", "ds:DigestValue"
    )
    _only(transforms)
    _no_text(transforms, reference)
    (transform,) = _exactly(transforms, "ds:Transform")
    _one_of(transform, {ENVELOPED})
    _one_of(digest, DIGESTS)
    _only(value)
    text_of(value)
    return SIGNATURES[method.get("Algorithm", "")]


def _certificates(key_info: etree._Element) -> tuple[str, ...]:
    found: list[str] = []
    _no_text(key_info)
    for child in children(key_info):
        if child.tag in _IGNORED_KEY_INFO:
            continue
        if child.tag != tag("ds:X509Data"):
            _refuse(key_info, f"cannot have {name_of(child.tag)}; it has to have the certificate")
        _no_text(child)
        for one in children(child):
            if one.tag in _IGNORED_X509:
                continue
            if one.tag != tag("ds:X509Certificate"):
                _refuse(child, f"cannot have {name_of(one.tag)}")
            found.append(_certificate(one))
    if not found:
        refuse(
            "certificate", "ds:KeyInfo", "ds:KeyInfo has no ds:X509Certificate: nobody can tell "
            "who signed.", line_of(key_info),
        )  # fmt: skip
    if len(found) > MOST_CERTIFICATES:
        _refuse(key_info, f"has {len(found)} certificates; {MOST_CERTIFICATES} is most")
    return tuple(found)


def _certificate(element: etree._Element) -> str:
    _only(element)
    text = "".join(text_of(element).split())
    if len(text) > LONGEST_CERTIFICATE:
        _refuse(element, f"has {len(text):,} characters; {LONGEST_CERTIFICATE:,} is most")
    return text


def _exactly(element: etree._Element, *names: str) -> list[etree._Element]:
    """Its children, which have to be these, in this order, and no others."""
    found = children(element)
    if [child.tag for child in found] != [tag(name) for name in names]:
        _refuse(element, f"must have exactly {', '.join(names)}, in this order")
    return found


def _one_of(element: etree._Element, algorithms: object) -> None:
    """Its one attribute names one of these, and it says nothing else."""
    algorithm = element.get("Algorithm", "")
    if algorithm not in algorithms:  # type: ignore[operator]
        name = name_of(element.tag)
        refuse(
            "signature_algorithm", name, f"{name} is “{algorithm[:120]}”, which is not accepted.",
            line_of(element),
        )  # fmt: skip
    _only(element, "Algorithm")
    if len(element) or (element.text or "").strip():
        _refuse(element, "cannot have anything inside")


def _only(element: etree._Element, *attributes: str) -> None:
    for attribute in element.attrib:
        if attribute not in attributes:
            _refuse(element, f"cannot have the attribute {name_of(str(attribute))}")


def _no_text(*elements: etree._Element) -> None:
    for element in elements:
        if any((text or "").strip() for text in (element.text, *(one.tail for one in element))):
            _refuse(element, "has text beside its elements")


def _refuse(element: etree._Element, what: str) -> None:
    name = name_of(element.tag)
    refuse("signature_structure", name, f"{name} {what}.", line_of(element))
