"""What is left of its maker in a disk, on the pages of disks and drafts."""

from typing import Any

from django import template
from django.template import Context

from marketplace.forms.drafts import RULES
from marketplace.models import Inspection
from volumes.models import Volume
from volumes.states import VolumeState

register = template.Library()
#: The rules of which the report sees whether they are kept.
_CHECKED = frozenset({"network", "private"})
_THERE = (VolumeState.AVAILABLE, VolumeState.IN_USE)


@register.inclusion_tag("marketplace/_report.html", takes_context=True)
def report_of(context: Context, volume: Volume) -> dict[str, Any]:
    """Its report, or the way to have one; nothing for whom it is nothing. One query."""
    request = context["request"]
    found = Inspection.objects.visible_to(request.user).filter(volume=volume).first()
    is_own = volume.owner_id == request.user.pk
    if found:
        found.volume = volume
    may_begin = is_own and volume.state in _THERE
    return {
        "report": found,
        "volume": volume,
        "is_shown": found is not None or may_begin,
        "csrf_token": context.get("csrf_token"),
    }


@register.inclusion_tag("marketplace/_report_lines.html", takes_context=True)
def report_lines(context: Context, volume: Volume) -> dict[str, Any]:
    """What was found in it, in a line; nothing for whom it is nothing. One query."""
    found = Inspection.objects.visible_to(context["request"].user).filter(volume=volume)
    return {"reports": list(found.select_related("volume"))}


@register.inclusion_tag("marketplace/_rules.html")
def rules_from_scratch() -> dict[str, Any]:
    """What an image keeps to that others run, and which of it the portal checks."""
    return {"rules": [(sentence, name in _CHECKED) for name, sentence in RULES]}
