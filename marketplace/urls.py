from django.urls import path, register_converter

from marketplace import identifiers
from marketplace.views import catalogue, copies, entries, policy


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
    path("metadata/<image:identifier>/", entries.entry, name="entry"),
    path(
        "metadata/<image:identifier>/<str:email>/<str:created>/",
        entries.endorsement,
        name="endorsement",
    ),
    path("copies/<uuid:key>/", copies.copy, name="copy"),
    path("policy/", policy.index, name="policy"),
    path("policy/policy.cfg", policy.file, name="policy_file"),
]
