"""Django's admin: for administrators, to be read, without secrets."""

import pytest
from django.apps import apps
from django.urls import reverse

from core.models import Event, record
from portal import admin
from registration.tests.factories import PASSWORD, SshKeyFactory, UserFactory
from vms.models import VM
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(client):
    boss = UserFactory(admin=True, username="boss")
    client.force_login(boss)
    return boss


def paths_of(model, pk=1) -> dict[str, str]:
    base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    return {
        "list": reverse(f"{base}_changelist"),
        "one": reverse(f"{base}_change", args=[pk]),
        "add": reverse(f"{base}_add"),
        "delete": reverse(f"{base}_delete", args=[pk]),
        "history": reverse(f"{base}_history", args=[pk]),
    }


def test_a_visitor_signs_in_at_the_portals_own_door(client):
    answer = client.get("/admin/registration/user/")
    assert answer.url == "/login/?next=/admin/registration/user/"
    assert client.get("/admin/login/").status_code == 404


def test_it_does_not_exist_for_anybody_else(client):
    client.force_login(UserFactory())
    for path in ("/admin/", "/admin/core/event/", "/admin/jsi18n/"):
        assert client.get(path).status_code == 404


@pytest.mark.parametrize("model", list(admin.site._registry), ids=lambda model: model.__name__)
def test_every_table_is_listed_and_nothing_can_be_changed(client, boss, model):
    row = model.objects.first()
    paths = paths_of(model, row.pk if row else 1)
    assert client.get(paths["list"]).status_code == 200
    assert client.get(f"{paths['list']}?q=x").status_code == 200
    for path in paths.values():
        assert client.post(path, {"post": "yes"}).status_code == 405
    assert client.get(paths["add"]).status_code == 403
    if row:
        assert client.get(paths["one"]).status_code == 200
        assert client.get(paths["delete"]).status_code == 403


def test_a_row_is_shown_without_what_opens_doors(client, boss):
    vm = VMFactory(owner=boss, user_data="#!/bin/sh\nTOKEN=geheim")
    SshKeyFactory(owner=boss)
    record("vm", vm.uuid, "asked", by=boss)
    page = client.get(paths_of(type(boss), boss.pk)["one"]).text
    assert "boss@example.org" in page
    assert boss.password not in page
    assert PASSWORD not in page
    assert "geheim" not in client.get(paths_of(VM, vm.pk)["one"]).text
    event = Event.objects.get(verb="asked")
    assert client.get(paths_of(Event, event.pk)["one"]).status_code == 200


def test_every_table_of_ours_is_there_and_no_secret_column():
    ours = {model for label in admin.OURS for model in apps.get_app_config(label).get_models()}
    assert set(admin.site._registry) == ours - admin.LEFT_OUT
    for model, reader in admin.site._registry.items():
        columns = set(reader.get_fields(None)) | set(reader.get_list_display(None))
        assert not columns & admin.SECRETS, model


def test_the_way_out_leads_to_the_portal(client, boss):
    page = client.get("/admin/").text
    assert 'href="/"' in page
    assert "/admin/logout/" not in page
    assert "style=" not in page
    assert "<script>" not in page
