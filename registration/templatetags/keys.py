"""What templates about SSH keys need."""

from django import template

from registration import keys

register = template.Library()


@register.filter
def key_kind(line: str) -> str:
    """``RSA, 3072 bits`` for a line of OpenSSH."""
    return keys.describe(line)
