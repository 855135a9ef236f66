"""What templates about people need."""

from django import template
from django.utils.safestring import SafeString

from registration import rendering

register = template.Library()


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown as HTML."""
    return rendering.markdown(text)
