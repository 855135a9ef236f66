"""Letters about documents of the Marketplace that come in by an endorser's name."""

from registration.letters.kind import LINK, Kind
from registration.letters.placeholders import Placeholder, link

_WHO = Placeholder("who", "who sent it", "Ali Ben (ali)")
_WHAT = Placeholder("what", "endorses or deprecates", "endorses")
_IMAGE = Placeholder("image", "the image's identifier", "PcW9GNhE3-YFGQ0hPFsSrRla7Sb")
_ENDORSED = Placeholder("endorsed", "when it was signed", "15 January 2026, 10:00:00 UTC")

METADATA: tuple[Kind, ...] = (
    Kind(
        "metadata_sent",
        "Confirm a Marketplace entry",
        "To the endorser's address in a signed document, if neither who sent it nor its "
        "certificate speaks for that address.",
        (
            _WHO, _WHAT, _IMAGE, _ENDORSED,
            Placeholder("days", "how long the link works, in days", "3"),
            link(
                "where one confirms, refuses or reports it; works once",
                "/marketplace/confirm/…/",
                "Look at it",
            ),
        ),
        "A document {what} an image in your name: is it yours?",
        """\
Hello,

{who} sent a metadata document to the Marketplace of {site}. It {what} the image {image} in your \
name, and says that it was signed on {endorsed}.

Look at it here, within {days} days, and say whether it may be published:

{link}

Opening the page changes nothing; there you confirm it, refuse it, or report it as abuse. If you \
do nothing, it is not published.""",
        LINK,
    ),
    Kind(
        "metadata_reported",
        "A Marketplace entry is reported",
        "To every administrator, when the owner of an address says that a document misuses it.",
        (
            _WHO, _WHAT, _IMAGE, _ENDORSED,
            Placeholder("email", "the address in the document", "jane.doe@example.org"),
            Placeholder("reference", "its number", "0b2c6a0e-7a30-4a52-9f6c-5d2f3c1f7e55"),
            link("the audit", "/audit/", "Open the audit"),
        ),
        "Abuse reported: a document in the name of {email}",
        """\
Whoever reads the mails to {email} reports a metadata document as abuse. It {what} the image \
{image} in the name of that address, and says that it was signed on {endorsed}. {who} sent it. \
It was not published.

Its number is {reference}; the audit has all that is known of it:

{link}""",
        LINK,
    ),
)  # fmt: skip
