"""People, what is theirs, and what they are told, for programs."""

from registration.api.notifications import router as notices
from registration.api.people import router

__all__ = ["notices", "router"]
