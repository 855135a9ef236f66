"""Which policies hold, and who has agreed to them."""

from typing import Any

from registration.models import Policy
from registration.policy_text import TEXT


def current() -> Policy:
    """The policies as they are now; until an administrator publishes some, the shipped ones."""
    return Policy.objects.order_by("-version").first() or Policy(version=1, text=TEXT)


def wanted_version() -> int:
    """The oldest version that it is enough to have agreed to."""
    latest = Policy.objects.filter(asks_again=True).order_by("-version")
    return latest.values_list("version", flat=True).first() or 1


def must_agree(user: Any) -> bool:
    return bool(user.policy_version < wanted_version())
