"""Whether a document is what its signer signed. First its structure, then the arithmetic."""

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from marketplace.documents.algorithms import ENABLED_IN_REFERENCES
from marketplace.documents.certificates import Holder, certificate_of, holder_of
from marketplace.documents.endorsing import endorsement_of
from marketplace.documents.layout import lay_out
from marketplace.documents.model import Endorsement, Signature
from marketplace.documents.names import is_same
from marketplace.documents.reading import LARGEST_BYTES, Problems, read, refuse
from marketplace.documents.structure import parts_of_signature


def verify(xml: bytes, *, largest_bytes: int = LARGEST_BYTES) -> Signature:
    """Who signed a document, if exactly this was signed, and the document names the signer right.

    The other rules are ``parse``'s to check. Whether the certificate has expired, and whether
    anybody trusts it, is not looked at.

    Raises:
        Broken: the codes of ``reading``, ``layout`` and ``structure``; ``no_signature``,
            ``key``, ``signature_invalid``, ``not_endorsed``, ``inconsistent``.
    """
    layout = lay_out(read(xml, largest_bytes=largest_bytes))
    if layout.signature is None:
        refuse("no_signature", "ds:Signature", "The document has no signature.")
    parts = parts_of_signature(layout.signature)
    certificate, *chain = (certificate_of(text) for text in parts.certificates)
    holder = holder_of(certificate)
    _check_arithmetic(layout.signature, holder)
    endorsement = endorsement_of(layout)
    if endorsement is None:
        refuse(
            "not_endorsed", "slreq:endorsement",
            "The document must contain exactly 1 slreq:endorsement element that says who endorses.",
        )  # fmt: skip
    _check_endorsement(endorsement, holder, chain)
    return Signature(
        certificate=certificate,
        chain=tuple(chain),
        algorithm=parts.algorithm,
        subject=holder.subject,
        issuer=holder.issuer,
        fingerprint=holder.fingerprint,
        emails=holder.emails,
    )


def _check_arithmetic(signature: etree._Element, holder: Holder) -> None:
    context = xmlsec.SignatureContext()
    for transform in ENABLED_IN_REFERENCES:
        context.enable_reference_transform(transform)
    pem = holder.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        # With a key given, ds:KeyInfo is not asked for one.
        context.key = xmlsec.Key.from_memory(pem, xmlsec.constants.KeyDataFormatPem)
        context.verify(signature)
    except xmlsec.Error:
        refuse(
            "signature_invalid", "ds:Signature",
            "The signature is not valid: the document was changed after it was signed, or was not "
            "signed with the key of its certificate.",
        )  # fmt: skip


def _check_endorsement(
    endorsement: Endorsement, holder: Holder, chain: list[x509.Certificate]
) -> None:
    problems = Problems()
    if holder.emails and endorsement.email not in holder.emails:
        _differs(problems, "slreq:email", "email", endorsement.email, ", ".join(holder.emails))
    if not is_same(endorsement.subject, holder.certificate.subject):
        _differs(problems, "slreq:subject", "subject", endorsement.subject, holder.subject)
    first, *others = endorsement.issuers
    if not is_same(first, holder.certificate.issuer):
        _differs(problems, "slreq:issuer", "issuer", first, holder.issuer)
    for other in others:
        if not any(is_same(other, one.issuer) for one in chain):
            problems.add(
                "inconsistent", "slreq:issuer", f"slreq:issuer ({other[:200]}) has issued none of "
                "the certificates in the signature.",
            )  # fmt: skip
    problems.raise_if_any()


def _differs(problems: Problems, element: str, what: str, said: str, is_: str) -> None:
    problems.add(
        "inconsistent", element,
        f"{element} ({said[:200]}) and the {what} in the certificate ({is_[:200]}) are not "
        "consistent.",
    )  # fmt: skip
