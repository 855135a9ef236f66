"""The addresses that StratusLab's own Marketplace had at its root: its clients find all here."""

from django.urls import re_path
from django.views.decorators.http import require_safe
from django.views.generic import RedirectView

from marketplace import identifiers
from marketplace.views import endorsers, entries, lists

_IMAGE = rf"(?P<identifier>{identifiers.PATTERN})"

urlpatterns = [
    re_path(r"^metadata/*$", lists.metadata, name="old_metadata"),
    re_path(rf"^metadata/+{_IMAGE}/*$", entries.entry, name="old_entry"),
    re_path(
        rf"^metadata/+{_IMAGE}/+(?P<email>[^/]+)/+(?P<created>[^/]+)/*$",
        entries.endorsement,
        name="old_endorsement",
    ),
    re_path(r"^metadata/+(?P<parts>[^/]+(?:/+[^/]+){0,2})/*$", entries.parts, name="old_entries"),
    re_path(r"^tag/+(?P<email>[^/]+)/+(?P<tag>.+?)/*$", entries.tag, name="old_tag"),
    re_path(r"^endorsers/*$", endorsers.endorsers, name="old_endorsers"),
    re_path(r"^endorsers/+(?P<email>[^/]+)/*$", endorsers.endorser, name="old_endorser"),
    re_path(r"^endorsers/+(?P<email>[^/]+)/+tags/*$", endorsers.tags, name="old_endorser_tags"),
    re_path(
        r"^upload/*$",
        require_safe(RedirectView.as_view(pattern_name="marketplace:upload")),
        name="old_upload",
    ),
]
