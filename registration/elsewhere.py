"""What waits for an administrator on the floors above, each counted by its own."""

from collections.abc import Mapping

from django.utils.module_loading import import_string

_counts: dict[str, str] = {}


def register(name: str, path: str) -> None:
    """Have something counted: a function by its path, for what is there when it is needed.

    It takes the number beyond which counting tells nothing more. Called once, from the app's
    ``ready``.
    """
    _counts[name] = path


def counts(most: int) -> Mapping[str, int]:
    """One query for each name."""
    return {name: import_string(path)(most) for name, path in _counts.items()}
