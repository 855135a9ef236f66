"""One writer at a time at the end of the file of a disk that lands (``cloud.diskfiles``)."""

from cloud.diskfiles import appending
from cloud.diskfiles.appending import Busy
from volumes import landing
from volumes.models import Volume

__all__ = ["Busy", "Writer", "offset"]


def offset(volume: Volume) -> int:
    """How many bytes of the file have come, and count."""
    return appending.offset(landing.received(volume))


class Writer(appending.Writer):
    def __init__(self, volume: Volume) -> None:
        """Raises: Busy; OSError: the disk says no."""
        super().__init__(landing.make(volume))
