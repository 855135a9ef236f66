"""``{% icon "disk" %}``: a symbol of ``img/icons.svg``."""

from functools import cache

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
@cache  # a list has hundreds of a few
def icon(name: str, classes: str = "") -> SafeString:
    """Decoration: the words beside it carry the meaning."""
    return format_html(
        '<svg class="icon{}{}" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>',
        " " if classes else "",
        classes,
        static("img/icons.svg"),
        name,
    )
