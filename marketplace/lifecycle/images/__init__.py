"""The steps of an image's life inside one cloud: look, then ask, then say where to go.

No step waits, none writes its row but through ``keep``, and each may run twice. The bytes come
on the word of one entry, from its locations in their order; one that does not lead to them is
noted, and the next is tried. What an entry states of the bytes is compared with all of them,
before anything is made of them.
"""

from collections.abc import Mapping

from core.machine import Step
from marketplace.lifecycle.images import checking, copying, ending, fetching, wanting
from marketplace.models import ImageFile

STEPS: Mapping[str, Step[ImageFile]] = {
    **wanting.STEPS,
    **fetching.STEPS,
    **checking.STEPS,
    **copying.STEPS,
    **ending.STEPS,
}
tidy = ending.tidy

__all__ = ["STEPS", "tidy"]
