"""The algorithms that signatures may use. SHA-1 is for documents of the past."""

import xmlsec

from marketplace.documents.vocabulary import DS

C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
ENVELOPED = f"{DS}enveloped-signature"

#: How ds:SignedInfo, and nothing else, may be made into bytes.
CANONICALIZATIONS = frozenset(
    {
        C14N,
        f"{C14N}#WithComments",
        "http://www.w3.org/2006/12/xml-c14n11",
        "http://www.w3.org/2006/12/xml-c14n11#WithComments",
        "http://www.w3.org/2001/10/xml-exc-c14n#",
        "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
    }
)
_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
DSA_SHA256 = "http://www.w3.org/2009/xmldsig11#dsa-sha256"
SIGNATURES = {
    f"{DS}rsa-sha1": "rsa-sha1",
    f"{_MORE}rsa-sha256": "rsa-sha256",
    f"{_MORE}rsa-sha384": "rsa-sha384",
    f"{_MORE}rsa-sha512": "rsa-sha512",
    f"{DS}dsa-sha1": "dsa-sha1",
    DSA_SHA256: "dsa-sha256",
}
DIGESTS = frozenset(
    {
        f"{DS}sha1",
        "http://www.w3.org/2001/04/xmlenc#sha256",
        f"{_MORE}sha384",
        "http://www.w3.org/2001/04/xmlenc#sha512",
    }
)

_constants = xmlsec.constants
#: The same again for the library, which knows many more. (It has no name for DSA with SHA-256, so
#: the algorithms of signatures are left to our own list.)
ENABLED_IN_REFERENCES = (
    _constants.TransformEnveloped, _constants.TransformInclC14N, _constants.TransformSha1,
    _constants.TransformSha256, _constants.TransformSha384, _constants.TransformSha512,
)  # fmt: skip
