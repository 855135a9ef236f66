"""Django's admin at /admin/: everything in the tables, for administrators, to be read.

What is changed is changed by the pages and their actions, which know the rules and write the
audit; here nothing is. Signing in is the portal's own, so that its second factor and its
throttle hold. Columns that would open a door (passwords, digests, user data) are left out.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.urls import URLPattern, URLResolver
from django.views.decorators.http import require_safe

from core.models import Event
from marketplace.models import Entry
from registration.doors import administrators_only
from registration.models import (
    Attempts,
    CacheLine,
    Digest,
    OutgoingMail,
    Policy,
    QuotaWish,
    SshKey,
    User,
)
from vms.models import VM, CloudStatus, Readiness, Sample

#: The apps whose tables are shown.
OURS = ("registration", "marketplace", "vms", "core")
#: Never shown: what opens a door, and what a person keeps to themselves.
SECRETS = frozenset(
    {"password", "digest", "key", "user_data", "cache_key", "value", "sealed", "token_hash"}
)
#: Tables without anything to read.
LEFT_OUT: frozenset[type[models.Model]] = frozenset({CacheLine, Digest, OutgoingMail})
#: Of a site's own pages, those that make sense where nothing is changed.
PAGES = frozenset({"index", "app_list", "jsi18n"})
LONG = ("TextField", "JSONField", "BinaryField")
#: What an "s" does not make many of.
PLURALS: dict[type[models.Model], str] = {
    Attempts: "Attempts",
    CloudStatus: "States of clouds",
    Policy: "Policies",
    QuotaWish: "Wishes for quota",
    Readiness: "Readiness",
}


class Site(admin.AdminSite):
    """Signing in and out are the portal's; to anybody but an administrator it is not there."""

    site_header = "Tables of the portal"
    site_title = "Tables"
    index_title = "Read only: what is changed here is changed by the pages"
    final_catch_all_view = False

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_staff)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        return administrators_only(require_safe(super().admin_view(view, cacheable)))

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        found = super().get_app_list(request, app_label)
        for app in found:
            for table in app["models"]:
                table["name"] = PLURALS.get(table["model"], table["name"])
        return found

    def get_urls(self) -> list[URLPattern | URLResolver]:
        return [
            url for url in super().get_urls() if isinstance(url, URLResolver) or url.name in PAGES
        ]


if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[models.Model]
else:  # Django's own classes take no parameters
    _Admin = admin.ModelAdmin


class ReadOnly(_Admin):
    """Every column but the secret ones; nothing can be added, changed or removed."""

    list_per_page = 50
    show_full_result_count = False
    view_on_site = False
    actions = None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [field.name for field in shown(self.model)]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.get_fields(request, obj)


class ReadPeople(ReadOnly):
    list_display: Any = (
        "username", "given_name", "family_name", "email", "state", "is_staff", "source",
        "created_at", "last_seen_at",
    )  # fmt: skip
    list_filter = ("state", "is_staff", "source")
    search_fields = ("username", "email", "given_name", "family_name")


class ReadEvents(ReadOnly):
    list_display: Any = (
        "at", "kind", "subject_name", "verb", "outcome", "was", "now", "by", "on_behalf_of",
        "door", "address", "reason",
    )  # fmt: skip
    list_filter = ("kind", "outcome", "door")
    list_select_related = ("by", "on_behalf_of")
    search_fields = ("=subject_name", "=by__username", "=reference")
    ordering = ("-pk",)


class ReadMachines(ReadOnly):
    list_display: Any = (
        "name", "owner", "state", "cloud", "type_name", "vcpus", "memory_mib", "created_at",
        "ended_at",
    )  # fmt: skip
    list_filter = ("state", "cloud", "type_name")
    list_select_related = ("owner",)
    search_fields = ("name", "=owner__username", "address")


class ReadEntries(ReadOnly):
    list_display: Any = ("title", "identifier", "endorser_email", "kind", "created_at")
    list_filter = ("kind", "visibility", "is_official")
    search_fields = ("title", "=identifier", "endorser_email")


class ReadKeys(ReadOnly):
    list_display: Any = ("name", "owner", "fingerprint", "is_default", "created_at")
    list_select_related = ("owner",)
    search_fields = ("name", "=owner__username", "=fingerprint")


class ReadWishes(ReadOnly):
    list_display: Any = ("owner", "state", "created_at", "message")
    list_filter = ("state",)
    list_select_related = ("owner",)


class ReadSamples(ReadOnly):
    list_display: Any = ("vm", "at", "cpu_s", "memory_bytes")
    list_select_related = ("vm",)


class ReadRows(ReadOnly):
    """Any other table: its first columns, and a filter for each state and mark."""

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        short = [field for field in shown(self.model) if field.get_internal_type() not in LONG]
        return [field.name for field in short if field.name not in ("id", "uuid")][:8]

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        return [
            field.name
            for field in shown(self.model)
            if field.choices or field.get_internal_type() == "BooleanField"
        ]

    def get_list_select_related(self, request: HttpRequest) -> list[Any]:
        return [field.name for field in shown(self.model) if field.many_to_one]


def shown(model: type[models.Model]) -> list[Any]:
    """The columns of a table that may be read."""
    return [field for field in model._meta.concrete_fields if field.name not in SECRETS]


READERS: dict[type[models.Model], type[ReadOnly]] = {
    User: ReadPeople,
    Event: ReadEvents,
    VM: ReadMachines,
    Entry: ReadEntries,
    SshKey: ReadKeys,
    QuotaWish: ReadWishes,
    Sample: ReadSamples,
}


def _tables() -> Iterator[type[models.Model]]:
    for label in OURS:
        for model in apps.get_app_config(label).get_models():
            if model not in LEFT_OUT:
                yield model


site = Site(name="admin")
for model in _tables():
    site.register(model, READERS.get(model, ReadRows))
