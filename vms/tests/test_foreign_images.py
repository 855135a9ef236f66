"""Images for machines that this site does not have."""

import pytest
from django.urls import reverse

from marketplace.tests.factories import EntryFactory
from vms.models import CloudStatus

pytestmark = pytest.mark.django_db

WHY = "This image is for aarch64; the machines of this site are x86_64."


@pytest.fixture
def arm():
    CloudStatus.objects.create(cloud="local", architectures=["x86_64"])
    return EntryFactory(os_arch="aarch64")


@pytest.mark.parametrize("view", ["cards", "table"])
def test_lists_say_so_where_launch_would_be(client, arm, view):
    page = client.get(reverse("marketplace:catalogue"), {"view": view}).text
    assert WHY in page
    assert f"entry={arm.uuid}" not in page


def test_so_does_the_page_of_the_entry(client, arm):
    page = client.get(arm.permalink).text
    assert WHY in page
    assert f"entry={arm.uuid}" not in page


def test_while_nobody_knows_what_machines_there_are_launch_is_offered(client, arm):
    CloudStatus.objects.all().delete()
    page = client.get(arm.permalink).text
    assert WHY not in page
    assert f"entry={arm.uuid}" in page


@pytest.mark.parametrize("view", ["cards", "table"])
def test_a_disk_of_data_is_read_by_any_machine(client, arm, view):
    type(arm).objects.update(kind="disk")
    assert WHY not in client.get(reverse("marketplace:catalogue"), {"view": view}).text
