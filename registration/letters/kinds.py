"""Every letter there is."""

from registration.letters.accounts import ACCOUNTS, PROOF
from registration.letters.images import IMAGES
from registration.letters.kind import Kind
from registration.letters.marketplace import MARKETPLACE
from registration.letters.metadata import METADATA
from registration.letters.others import OTHERS
from registration.letters.requests import REQUESTS

#: In the order in which administrators see them.
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (*REQUESTS, *ACCOUNTS, *PROOF, *OTHERS, *METADATA, *MARKETPLACE, *IMAGES)
}
