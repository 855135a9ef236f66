"""Disks, for programs: one module for each thing that is asked for."""

from volumes.api.disks import router as _disks
from volumes.api.downloads import router as _downloads
from volumes.api.making import router as _making
from volumes.api.offers import router as _offers
from volumes.api.sharing import router as _sharing
from volumes.api.snapshots import router as _snapshots

__all__ = ["routers"]

routers = (_disks, _making, _snapshots, _sharing, _offers, _downloads)
