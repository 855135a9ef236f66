"""How pages say what is done with an image, and for how long yet."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

from django import template
from django.utils.html import escape, format_html_join
from django.utils.safestring import SafeString, mark_safe

from marketplace.architectures import why_foreign
from marketplace.models import Entry, ImageFile
from marketplace.search.finding import Card
from marketplace.states import ImageState, Kind

register = template.Library()

_DOING: Mapping[str, str] = {
    ImageState.FETCHING: "Fetching",
    ImageState.UNPACKING: "Unpacking and checking",
    ImageState.COPYING: "Copying",
}


@register.filter
def doing(image: ImageFile) -> str:
    """What moves its bytes now, or ""."""
    if image.is_in_line:
        return ""
    return _DOING.get(str(image.state), "")


@register.filter
def about(value: str, known: Mapping[str, Entry]) -> Entry | None:
    """The entry that a value of the policy's lists leads to, if there is one."""
    return known.get(value)


@register.filter
def breaking(address: str) -> SafeString:
    """An address that is broken after its @, if it has to be broken."""
    if "@" not in address:
        return escape(address)
    parts = ((part,) for part in address.split("@"))
    return format_html_join(mark_safe("@<wbr>"), "{}", parts)


@register.filter
def on_machines(cards: Iterable[Card], architectures: Iterable[str]) -> list[Card]:
    """The same; those that are of another architecture than the site's machines are refused too."""
    machines = list(architectures)
    return [
        card if card.refusal else replace(card, refusal=foreign_to(card.entry, machines))
        for card in cards
    ]


@register.filter
def foreign_to(entry: Entry, architectures: Iterable[str]) -> str:
    """Why no machine of the site starts from an image of this architecture, or ""."""
    return why_foreign(entry.os_arch, architectures) if entry.kind == Kind.MACHINE else ""


@register.filter
def roughly(span: timedelta) -> str:
    """A time that is left, as the page of uploads says it: 5 s, 3 min, 2 h 10 min."""
    seconds = int(span.total_seconds())
    if seconds < 60:
        return f"{max(1, seconds)} s"
    minutes = -(-seconds // 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{minutes} min"
