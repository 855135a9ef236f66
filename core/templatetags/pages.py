"""Which pages of a list its pager names: the first, the last, and those around this one."""

from collections.abc import Iterator

from django import template
from django.core.paginator import Page, Paginator

register = template.Library()


@register.filter
def named_pages(page: "Page[object]") -> Iterator[str | int]:
    """Their numbers, and "…" for what is left out: as fast for thousands of pages as for ten."""
    paginator: Paginator[object] = page.paginator
    return paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1)
