from django.urls import path, register_converter

from marketplace import identifiers, views


class IdentifierConverter:
    regex = identifiers.PATTERN

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(IdentifierConverter, "image")

app_name = "marketplace"

urlpatterns = [
    path("", views.catalogue, name="catalogue"),
    path("metadata/<image:identifier>/", views.entry, name="entry"),
    path(
        "metadata/<image:identifier>/<str:email>/<str:created>/",
        views.endorsement,
        name="endorsement",
    ),
    path("copies/<uuid:key>/", views.copy, name="copy"),
]
