"""Disks that wait for somebody's answer, for the pages that tell of them."""

from django import template

from registration.models import User
from volumes.models import Offer

register = template.Library()


@register.simple_tag
def offers_for(user: User) -> int:
    """How many disks are offered to ``user``."""
    return int(Offer.objects.waiting_for(user).count())
