"""The lives of images, drafts, confirmations and sources, and the status of an entry, as data."""

from collections.abc import Mapping
from datetime import timedelta

from django.db.models import TextChoices

from core.machine import Deadline, Deadlines, Moves

_SOON = timedelta(seconds=2)


class ImageState(TextChoices):
    """Where the copy of an image inside one cloud is."""

    WANTED = "wanted"
    FETCHING = "fetching"
    CHECKING = "checking"
    UNPACKING = "unpacking"
    COPYING = "copying"
    READY = "ready"
    CLEARING = "clearing"
    EVICTING = "evicting"
    FAILED = "failed"
    EVICTED = "evicted"


S = ImageState

IMAGE_MOVES: Moves = {
    S.WANTED: frozenset({S.FETCHING, S.COPYING, S.READY, S.FAILED, S.CLEARING}),
    # Back to WANTED: it is slow, and another entry may lead to it sooner.
    S.FETCHING: frozenset({S.CHECKING, S.CLEARING, S.WANTED}),
    # Back to FETCHING: from the entry's next location, or anew if what had come is gone.
    S.CHECKING: frozenset({S.UNPACKING, S.COPYING, S.FETCHING, S.CLEARING}),
    S.UNPACKING: frozenset({S.COPYING, S.FETCHING, S.CLEARING}),
    S.COPYING: frozenset({S.READY, S.FETCHING, S.CLEARING}),
    # To READY: the cloud has these bytes all the same; one entry's locations do not lead to them.
    # To EVICTED: nobody waits for it any more.
    S.CLEARING: frozenset({S.FAILED, S.READY, S.EVICTED}),
    S.EVICTING: frozenset({S.EVICTED, S.READY}),
    # The cloud has lost it or found it damaged, an entry has yet to prove that its locations
    # lead to these bytes, or its room is needed.
    S.READY: frozenset({S.WANTED, S.EVICTING}),
    S.FAILED: frozenset({S.WANTED}),  # somebody asks again
    S.EVICTED: frozenset({S.WANTED}),
}

#: A state listed here is moving: a worker looks at it until it leaves.
IMAGE_DEADLINES: Deadlines = {
    S.WANTED: Deadline(
        timedelta(minutes=10), S.CLEARING, _SOON, "The cloud took no image within {limit}."
    ),
    S.FETCHING: Deadline(
        timedelta(hours=24), S.CLEARING, _SOON, "The image could not be fetched within {limit}."
    ),
    S.CHECKING: Deadline(
        timedelta(minutes=10), S.CLEARING, _SOON, "The image could not be checked within {limit}."
    ),
    S.UNPACKING: Deadline(
        timedelta(hours=4), S.CLEARING, _SOON, "The image could not be unpacked within {limit}."
    ),
    S.COPYING: Deadline(
        timedelta(hours=4), S.CLEARING, _SOON, "The image was not copied within {limit}."
    ),
    S.CLEARING: Deadline(timedelta(hours=1), S.FAILED, _SOON, ""),
    S.EVICTING: Deadline(
        timedelta(hours=1), S.READY, _SOON, "The cloud did not remove its copy within {limit}."
    ),
}

#: How the reason of a row begins that waits until a lane has room for it.
IN_LINE = "Waiting for its turn"

#: Why a fetch ends that no machine waits for; no failure of its entry.
LET_GO = "No machine waited for it any more, so its fetching was ended."

#: Bytes are on their way; a machine that needs the image waits in Prolog.
ON_ITS_WAY = frozenset({S.WANTED, S.FETCHING, S.CHECKING, S.UNPACKING, S.COPYING})

#: While one entry is proven, machines of the others start from the copy that is there.
KEPT = ON_ITS_WAY | {S.READY, S.CLEARING}

#: What each state means, for whoever meets the word for the first time.
IMAGE_MEANINGS: Mapping[str, str] = {
    S.WANTED: "A machine needs this image; its copying starts in a moment.",
    S.FETCHING: "The image is being fetched from where its entry says that it is.",
    S.CHECKING: "The portal looks at what the file is, before anything is made of it.",
    S.UNPACKING: "The image is being unpacked and compared with its checksums.",
    S.COPYING: "The image is being copied into the cloud.",
    S.READY: "The cloud keeps a checked copy of this image; machines start from it at once.",
    S.CLEARING: "What is left of it is being removed.",
    S.EVICTING: "The copy is being removed to make room.",
    S.FAILED: "The image could not be brought here. The next launch tries again.",
    S.EVICTED: "The copy was removed to make room. The next launch fetches it again.",
}


class DraftState(TextChoices):
    """How far the metadata of a new image are."""

    WANTED = "wanted", "Waiting"
    MEASURING = "measuring", "Measuring"
    READY = "ready", "Ready to sign"
    FAILED = "failed", "Could not be measured"
    PUBLISHED = "published", "Published"
    DROPPED = "dropped", "Thrown away"


D = DraftState

DRAFT_MOVES: Moves = {
    D.WANTED: frozenset({D.MEASURING, D.READY, D.FAILED, D.DROPPED}),
    D.MEASURING: frozenset({D.READY, D.FAILED, D.DROPPED}),
    D.READY: frozenset({D.PUBLISHED, D.DROPPED, D.WANTED}),
    D.FAILED: frozenset({D.WANTED, D.DROPPED}),
    D.PUBLISHED: frozenset(),
    D.DROPPED: frozenset(),
}
DRAFT_DEADLINES: Deadlines = {
    D.WANTED: Deadline(timedelta(minutes=10), D.FAILED, _SOON, "No worker measured it in {limit}."),
    D.MEASURING: Deadline(
        timedelta(hours=24), D.FAILED, _SOON, "It could not be measured within {limit}."
    ),
}
DRAFT_VERBS: Mapping[str, frozenset[str]] = {
    "change": frozenset({D.WANTED, D.MEASURING, D.READY, D.FAILED}),
    "publish": frozenset({D.READY}),
    "retry": frozenset({D.FAILED}),
    "drop": frozenset({D.WANTED, D.MEASURING, D.READY, D.FAILED}),
}


class PendingState(TextChoices):
    """A signed document that waits until the owner of its address says yes."""

    WAITING = "waiting", "Waiting for the endorser"
    CONFIRMED = "confirmed", "Confirmed"
    REFUSED = "refused", "Refused by the endorser"
    REPORTED = "reported", "Reported as abuse"
    LAPSED = "lapsed", "Not confirmed in time"
    WITHDRAWN = "withdrawn", "Withdrawn by its sender"


P = PendingState

PENDING_MOVES: Moves = {
    P.WAITING: frozenset({P.CONFIRMED, P.REFUSED, P.REPORTED, P.LAPSED, P.WITHDRAWN}),
    P.CONFIRMED: frozenset(),
    P.REFUSED: frozenset(),
    P.REPORTED: frozenset(),
    P.LAPSED: frozenset(),
    P.WITHDRAWN: frozenset(),
}
#: How long the links of a confirmation are good.
PENDING_FOR = timedelta(days=3)
PENDING_DEADLINES: Deadlines = {
    P.WAITING: Deadline(
        PENDING_FOR, P.LAPSED, timedelta(minutes=5), "Nobody confirmed it within {limit}."
    )
}


class ArrivalState(TextChoices):
    """A metadata document that the portal fetches from an address that a person gave."""

    FETCHING = "fetching", "Fetching"
    DONE = "done", "Fetched"
    FAILED = "failed", "Failed"


DOCUMENT_ARRIVAL_MOVES: Moves = {
    ArrivalState.FETCHING: frozenset({ArrivalState.DONE, ArrivalState.FAILED}),
    ArrivalState.DONE: frozenset(),
    ArrivalState.FAILED: frozenset({ArrivalState.FETCHING}),
}
DOCUMENT_ARRIVAL_DEADLINES: Deadlines = {
    ArrivalState.FETCHING: Deadline(
        timedelta(minutes=5), ArrivalState.FAILED, _SOON, "The server did not send it in {limit}."
    )
}


class SourceState(TextChoices):
    """Another catalogue that entries are imported from."""

    OFF = "off", "Off"
    DUE = "due", "Waiting for its next import"
    IMPORTING = "importing", "Importing"


SOURCE_MOVES: Moves = {
    SourceState.OFF: frozenset({SourceState.IMPORTING}),
    SourceState.DUE: frozenset({SourceState.IMPORTING, SourceState.OFF}),
    SourceState.IMPORTING: frozenset({SourceState.DUE, SourceState.OFF}),
}
SOURCE_DEADLINES: Deadlines = {
    # DUE rests: its hour comes by ``due_at``, which the sweep looks at.
    SourceState.IMPORTING: Deadline(
        timedelta(hours=2), SourceState.DUE, _SOON, "The import did not end within {limit}."
    ),
}


class EntryStatus(TextChoices):
    """Whether an entry may be used now. Source: StratusLab Marketplace, ``query``."""

    VALID = "valid"
    EXPIRED = "expired"
    DEPRECATED = "deprecated"
    UNDATED = "undated"  # states no end of validity: reached by its address, never listed


class Trust(TextChoices):
    """What is known of an entry's signature, besides the dates of its certificate."""

    TRUSTED = "trusted", "Signed; the certificate is trusted here"
    UNTRUSTED = "untrusted", "Signed; the certificate is not known here"
    INVALID = "invalid", "The signature is not valid"
    UNSIGNED = "unsigned", "Not signed"


class Kind(TextChoices):
    MACHINE = "machine"
    DISK = "disk"


class Compression(TextChoices):
    """How the file at the location is packed; checksums are of what is inside."""

    NONE = "", "none"
    GZIP = "gz", "gzip"
    BZIP2 = "bz2", "bzip2"
    XZ = "xz", "xz"
    ZSTD = "zst", "Zstandard"


class Visibility(TextChoices):
    PUBLIC = "public", "Everybody"
    GROUP = "group", "A group"
    PRIVATE = "private", "Its owner"


class Subject(TextChoices):
    """What a line of the site's policy is about."""

    ENDORSER = "endorser", "Endorser (e-mail)"
    CHECKSUM = "checksum", "Checksum (SHA-1)"
    IMAGE = "image", "Image (identifier)"


class Colour(TextChoices):
    """Which list a line of the site's policy is on."""

    WHITE = "white", "White list"
    BLACK = "black", "Black list"


class SourceKind(TextChoices):
    STRATUSLAB = "stratuslab", "StratusLab Marketplace, or another of these portals"
    SIMPLESTREAMS = "simplestreams", "Simplestreams"
    DEBIAN = "debian", "Debian's manifests of cloud images"


class DraftSource(TextChoices):
    """What the metadata of a draft are about."""

    DISK = "disk", "A disk of mine"
    URL = "url", "A file on the web"
    FILE = "file", "A file that was measured in the browser"
    ENTRY = "entry", "An entry, to be said again"


class InspectionState(TextChoices):
    """A look at what is left of its maker in a disk."""

    WANTED = "wanted", "Waiting"
    READING = "reading", "Looking"
    READY = "ready", "Done"
    FAILED = "failed", "Failed"


N = InspectionState

INSPECTION_MOVES: Moves = {
    N.WANTED: frozenset({N.READING, N.FAILED}),
    N.READING: frozenset({N.READY, N.FAILED}),
    N.READY: frozenset({N.WANTED}),
    N.FAILED: frozenset({N.WANTED}),
}
INSPECTION_DEADLINES: Deadlines = {
    N.WANTED: Deadline(
        timedelta(hours=1), N.FAILED, _SOON, "No worker looked into it within {limit}."
    ),
    N.READING: Deadline(
        timedelta(hours=12), N.FAILED, _SOON, "It could not be looked into within {limit}."
    ),
}


class PublicationState(TextChoices):
    """An entry that is to be opened to everybody, where the site wants to be asked."""

    ASKED = "asked", "Waiting for an administrator"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    WITHDRAWN = "withdrawn", "Withdrawn"


U = PublicationState

PUBLICATION_MOVES: Moves = {
    U.ASKED: frozenset({U.APPROVED, U.REJECTED, U.WITHDRAWN}),
    U.APPROVED: frozenset(),
    U.REJECTED: frozenset({U.ASKED}),
    U.WITHDRAWN: frozenset(),
}

#: It waits for a person.
PUBLICATION_DEADLINES: Deadlines = {}

#: What an administrator may ask of it.
PUBLICATION_VERBS: Mapping[str, frozenset[str]] = {
    "approve": frozenset({U.ASKED}),
    "reject": frozenset({U.ASKED}),
    "reconsider": frozenset({U.REJECTED}),
}
