from django.urls import path, re_path, register_converter

from marketplace import identifiers
from marketplace.views import catalogue, copies, endorsers, entries, policy


class IdentifierConverter:
    regex = identifiers.PATTERN

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(IdentifierConverter, "image")

app_name = "marketplace"

urlpatterns = [
    path("", catalogue.catalogue, name="catalogue"),
    # With a slash at the end or without, and with several between: as StratusLab's own.
    re_path(rf"^metadata/+(?P<identifier>{identifiers.PATTERN})/*$", entries.entry, name="entry"),
    re_path(
        rf"^metadata/+(?P<identifier>{identifiers.PATTERN})/+(?P<email>[^/]+)/+(?P<created>[^/]+)/*$",
        entries.endorsement,
        name="endorsement",
    ),
    re_path(r"^metadata/+(?P<parts>[^/]+(?:/+[^/]+){0,2})/*$", entries.parts, name="entries"),
    re_path(r"^tag/+(?P<email>[^/]+)/+(?P<tag>.+?)/*$", entries.tag, name="tag"),
    re_path(r"^endorsers/*$", endorsers.endorsers, name="endorsers"),
    re_path(r"^endorsers/+(?P<email>[^/]+)/*$", endorsers.endorser, name="endorser"),
    re_path(r"^endorsers/+(?P<email>[^/]+)/+tags/*$", endorsers.tags, name="endorser_tags"),
    path("copies/<uuid:key>/", copies.copy, name="copy"),
    path("policy/", policy.index, name="policy"),
    path("policy/policy.cfg", policy.file, name="policy_file"),
]
