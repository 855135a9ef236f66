"""The one way into the catalogue, for whoever asks above; workers take it too."""

from marketplace.publishing import (
    EVERYBODY,
    Reader,
    columns_of,
    common_name,
    note,
    publish_document,
)

__all__ = ["EVERYBODY", "Reader", "columns_of", "common_name", "note", "publish_document"]
