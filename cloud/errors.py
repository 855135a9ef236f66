"""Everything that can go wrong with a cloud, in five words.

A driver raises nothing else: whatever a socket, a client library or an engine
throws is translated at the driver's edge. The worker asks one question of an
error, ``retryable``; the page shows one thing, ``str(error)``.
"""


class CloudError(Exception):
    """Base of the family. ``str(error)`` is safe to show to a user.

    ``detail`` is for the log only: it may name hosts, paths and credentials.
    """

    retryable = False

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class CloudUnavailable(CloudError):
    """No answer, a timeout, or the portal's own credentials are refused."""

    retryable = True


class CloudBusy(CloudError):
    """Understood, but not now: a lock, no room on any host, a running hot-plug."""

    retryable = True


class CloudFull(CloudBusy):
    """Busy for want of room on its disk: that takes minutes or hours, and may never come."""


class CloudRefused(CloudError):
    """Understood, and no: a quota of the engine, a bad size, a damaged image."""


class NotFound(CloudError):
    """The ``ref`` names nothing on this cloud."""


class Unsupported(CloudError):
    """This cloud has no such operation, and says in a sentence why."""
