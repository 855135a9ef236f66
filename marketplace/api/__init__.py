"""The Marketplace, for programs: one module for each thing that is asked for."""

from marketplace.api.entries import router as _entries
from marketplace.api.inspections import router as _inspections
from marketplace.api.publications import router as _publications

__all__ = ["routers"]

routers = (_entries, _inspections, _publications)
