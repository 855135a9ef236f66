"""Signing: the endorsement is filled in, and the whole document put under one signature."""

import textwrap
from base64 import b64encode
from datetime import datetime

import xmlsec
from cryptography.hazmat.primitives.asymmetric.dsa import DSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from lxml import etree

from marketplace.documents.algorithms import DSA_SHA256
from marketplace.documents.certificates import SMALLEST_NEW_KEY, Holder, holder_of
from marketplace.documents.layout import lay_out
from marketplace.documents.model import Endorsement, Signer
from marketplace.documents.names import name_in_words
from marketplace.documents.reading import LARGEST_BYTES, read, refuse
from marketplace.documents.rules import metadata_of
from marketplace.documents.values import is_email
from marketplace.documents.verifying import verify
from marketplace.documents.vocabulary import DS, tag
from marketplace.documents.writing import fill_endorsement, to_bytes

_constants = xmlsec.constants


def sign(
    xml: bytes,
    signer: Signer,
    *,
    at: datetime,
    email: str = "",
    largest_bytes: int = LARGEST_BYTES,
) -> bytes:
    """The document, endorsed at ``at`` by the signer. An older endorsement is replaced.

    ``email`` is needed where the certificate has none; else it must be one of the certificate's.

    Raises:
        Broken: the document breaks a rule; ``endorsement``: it has no place for one;
            ``no_email``, ``invalid_email``, ``key``, ``certificate_expired``.
    """
    root = read(xml, largest_bytes=largest_bytes)
    holder = holder_of(signer.certificate)
    _check_signer(signer, holder, at)
    _remove_signature(root)
    _endorse(lay_out(root).description, _endorsement(signer, holder, at, email))
    metadata_of(lay_out(root))
    # Text is what was checked: what is signed is read again from the bytes that go out.
    root = read(to_bytes(root), largest_bytes=largest_bytes)
    _append_signature(root, signer)
    signed = to_bytes(root)
    verify(signed, largest_bytes=largest_bytes)
    return signed


def _check_signer(signer: Signer, holder: Holder, at: datetime) -> None:
    if signer.key.key_size < SMALLEST_NEW_KEY:
        refuse(
            "key", "", f"The key has {signer.key.key_size:,} bits; from {SMALLEST_NEW_KEY:,} on it "
            "may sign.",
        )  # fmt: skip
    if signer.key.public_key() != holder.key:
        refuse("key", "", "The key and the certificate do not belong together.")
    since, until = signer.certificate.not_valid_before_utc, signer.certificate.not_valid_after_utc
    if not since <= at <= until:
        refuse(
            "certificate_expired", "", f"The certificate is valid from {since:%Y-%m-%d %H:%M} to "
            f"{until:%Y-%m-%d %H:%M} UTC: it cannot sign now.",
        )  # fmt: skip


def _endorsement(signer: Signer, holder: Holder, at: datetime, email: str) -> Endorsement:
    address = email or next(iter(holder.emails), "")
    if not address:
        refuse(
            "no_email", "slreq:email", "Cannot generate slreq:endorsement; email address not in "
            "cert or not provided.",
        )  # fmt: skip
    if not is_email(address):
        refuse("invalid_email", "slreq:email", f"Invalid email address: {address[:200]}.")
    if holder.emails and address not in holder.emails:
        refuse(
            "no_email", "slreq:email", f"The certificate is for {', '.join(holder.emails)}: it "
            f"cannot sign for {address}.",
        )  # fmt: skip
    above = [name_in_words(one.issuer) for one in signer.chain]
    return Endorsement(
        created=at.replace(microsecond=0),
        email=address,
        subject=holder.subject,
        issuers=tuple(dict.fromkeys((holder.issuer, *above))),
    )


def _remove_signature(root: etree._Element) -> None:
    for signature in root.findall(tag("ds:Signature")):
        before, tail = signature.getprevious(), signature.tail
        root.remove(signature)
        if before is not None and tail:
            before.tail = tail


def _endorse(description: etree._Element, endorsement: Endorsement) -> None:
    found = description.findall(tag("slreq:endorsement"))
    if len(found) != 1:
        refuse(
            "endorsement", "slreq:endorsement", "The document must contain exactly 1 "
            f"slreq:endorsement element; it has {len(found)}.",
        )  # fmt: skip
    element, tail = found[0], found[0].tail
    element.clear()
    element.tail = tail
    fill_endorsement(element, endorsement)
    etree.indent(element, level=2)


def _append_signature(root: etree._Element, signer: Signer) -> None:
    signature = xmlsec.template.create(
        root, _constants.TransformInclC14NWithComments, _constants.TransformRsaSha256
    )
    if isinstance(signer.key, DSAPrivateKey):  # for which the library has no constant
        for method in signature.iter(f"{{{DS}}}SignatureMethod"):
            method.set("Algorithm", DSA_SHA256)
    root.append(signature)
    reference = xmlsec.template.add_reference(signature, _constants.TransformSha256, uri="")
    xmlsec.template.add_transform(reference, _constants.TransformEnveloped)
    pem = signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(pem, _constants.KeyDataFormatPem)
    context.sign(signature)
    data = etree.SubElement(etree.SubElement(signature, f"{{{DS}}}KeyInfo"), f"{{{DS}}}X509Data")
    for certificate in (signer.certificate, *signer.chain):
        text = b64encode(certificate.public_bytes(Encoding.DER)).decode()
        etree.SubElement(data, f"{{{DS}}}X509Certificate").text = "\n".join(textwrap.wrap(text, 76))
