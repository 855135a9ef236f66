"""Sizes on pages."""

from django import template

from core.sizes import in_words

register = template.Library()


@register.filter
def grouped(number: int) -> str:
    """A count as people read it: 13,340."""
    return f"{number:,}"


@register.filter
def size(size_bytes: int | None) -> str:
    """In the largest unit that fits; "" for a size that is not known."""
    return "" if size_bytes is None else in_words(size_bytes)
