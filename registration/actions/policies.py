"""Agreeing to the policies, and publishing new ones."""

from django.db import transaction
from django.utils import timezone

from registration import policies
from registration.models import User


@transaction.atomic
def agree_to_policies(user: User) -> None:
    """Note that ``user`` has read the policies as they are now, and agrees."""
    was = user.policy_version
    user.policy_version = policies.current().version
    user.policy_agreed_at = timezone.now()
    user.save(update_fields=["policy_version", "policy_agreed_at"])
    user.record_event("policies_agreed", by=user, before=was, after=user.policy_version)
