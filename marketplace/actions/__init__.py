"""What may be asked of the catalogue. Nothing here knows that clouds exist."""

from marketplace.actions.images import (
    FRESH,
    Standing,
    ensure_image,
    evict,
    image_for,
    image_lost,
)
from marketplace.actions.keys import (
    end_key,
    key_of,
    new_key,
    signer_of,
    site_address,
    site_key,
)
from marketplace.actions.policy import PolicyChange, change_policy
from marketplace.actions.publishing import EVERYBODY, Reader, publish_document
from marketplace.actions.site import deprecate, ends_soon, publish
from marketplace.actions.sources import (
    SourceWish,
    add_source,
    change_source,
    import_source,
    remove_source,
    switch_source,
)
from marketplace.actions.uses import note_launch, note_tested

__all__ = [
    "EVERYBODY",
    "FRESH",
    "PolicyChange",
    "Reader",
    "SourceWish",
    "Standing",
    "add_source",
    "change_policy",
    "change_source",
    "deprecate",
    "end_key",
    "ends_soon",
    "ensure_image",
    "evict",
    "image_for",
    "image_lost",
    "import_source",
    "key_of",
    "new_key",
    "note_launch",
    "note_tested",
    "publish",
    "publish_document",
    "remove_source",
    "signer_of",
    "site_address",
    "site_key",
    "switch_source",
]
