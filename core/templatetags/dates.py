"""``{% day at %}``, ``{% moment at %}``, ``{% second at %}``, ``{% clock at %}``,
``{% age at %}``: instants as the person who looks reads them, in UTC; nothing for none.
"""

from datetime import UTC, datetime

from django import template
from django.template import Context
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from core import dates

register = template.Library()
AGE = mark_safe(" data-ago")  # the page's script keeps it true
NOTHING = mark_safe("")


@register.simple_tag(takes_context=True)
def day(context: Context, at: datetime | None) -> SafeString:
    """31 January 2026."""
    style = _style(context)
    return _time(style, at, style.day(at.astimezone(UTC))) if at else NOTHING


@register.simple_tag(takes_context=True)
def moment(context: Context, at: datetime | None) -> SafeString:
    """31 January 2026, 14:05 UTC."""
    style = _style(context)
    return _time(style, at, f"{style.moment(at.astimezone(UTC))} UTC") if at else NOTHING


@register.simple_tag(takes_context=True)
def second(context: Context, at: datetime | None) -> SafeString:
    """31 January 2026, 14:05:09 UTC."""
    style = _style(context)
    if not at:
        return NOTHING
    return _time(style, at, f"{style.moment(at.astimezone(UTC), to_the_second=True)} UTC")


@register.simple_tag(takes_context=True)
def clock(context: Context, at: datetime | None) -> SafeString:
    """14:05:09."""
    style = _style(context)
    if not at:
        return NOTHING
    return _time(style, at, style.clock(at.astimezone(UTC), to_the_second=True))


@register.simple_tag(takes_context=True)
def age(context: Context, at: datetime | None) -> SafeString:
    """3 min ago."""
    style = _style(context)
    return _time(style, at, style.age(at), AGE) if at else NOTHING


def _style(context: Context) -> dates.DateStyle:
    return dates.style(context.get("date_style") or "")


def _time(
    style: dates.DateStyle, at: datetime, text: str, more: SafeString = NOTHING
) -> SafeString:
    """With the instant for machines, and, for who listens, the language if it is another one."""
    at = at.astimezone(UTC)
    language = NOTHING
    if style.locale and not style.code.startswith("en"):
        language = format_html(' lang="{}"', style.code)
    title = f"{style.moment(at, to_the_second=True)} UTC"
    return format_html(
        '<time datetime="{}" title="{}"{}{}>{}</time>', at.isoformat(), title, language, more, text
    )
