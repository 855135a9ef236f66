"""What may be asked of the catalogue. Nothing here knows that clouds exist."""

from marketplace.actions.images import FRESH, ensure_image, image_lost
from marketplace.actions.publishing import EVERYBODY, Reader, publish_document
from marketplace.actions.site import deprecate, ends_soon, publish

__all__ = [
    "EVERYBODY",
    "FRESH",
    "Reader",
    "deprecate",
    "ends_soon",
    "ensure_image",
    "image_lost",
    "publish",
    "publish_document",
]
