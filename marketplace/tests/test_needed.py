"""The pages of a disk say which entries of the Marketplace lead to it."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from marketplace import pdisk
from marketplace.tests.factories import EntryFactory
from registration.tests.factories import UserFactory
from volumes.models import DiskType, Volume
from volumes.tests.factories import VolumeFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada():
    return UserFactory(username="ada")


def published(owner, /, **entry) -> Volume:
    volume = VolumeFactory(owner=owner, type=DiskType.MACHINE_IMAGE_ORIGIN)
    EntryFactory(locations=["https://x.org/x.img", pdisk.address_of(volume.uuid)], **entry)
    return volume


@pytest.mark.parametrize("name", ["detail", "delete"])
def test_a_disks_pages_name_the_entry_that_needs_it(client, ada, name):
    client.force_login(ada)
    volume = published(ada, title="Debian with R")
    shown = client.get(reverse(f"volumes:{name}", args=[volume.uuid])).content.decode()
    assert "Debian with R" in shown
    assert "Deprecate the entry first" in shown


@pytest.mark.parametrize("name", ["detail", "delete"])
def test_what_is_over_or_hidden_or_elsewhere_is_not_named(client, ada, name):
    client.force_login(ada)
    over = published(ada, title="Over", deprecated="Old.")
    hidden = published(ada, title="Hidden", visibility="private", owner=UserFactory())
    for volume in (over, hidden, VolumeFactory(owner=ada)):
        shown = client.get(reverse(f"volumes:{name}", args=[volume.uuid])).content.decode()
        assert "Published." not in shown


def test_an_image_for_its_owner_alone_is_not_called_published(client, ada):
    client.force_login(ada)
    alone = published(ada, title="Debian with R", visibility="private", owner=ada)
    shown = client.get(reverse("volumes:detail", args=[alone.uuid])).content.decode()
    assert "Debian with R" in shown
    assert "Not published yet." in shown
    everybodys = published(ada, title="Debian with R")
    shown = client.get(reverse("volumes:detail", args=[everybodys.uuid])).content.decode()
    assert "Published." in shown


def test_the_end_of_many_disks_asks_once(client, ada):
    client.force_login(ada)

    def cost(disks: list[Volume]) -> int:
        there = reverse("volumes:delete_many")
        with CaptureQueriesContext(
            connection,
        ) as asked:
            client.get(there, {"disk": [disk.uuid for disk in disks]})
        return sum("is_on_pdisk" in query["sql"] for query in asked.captured_queries)

    assert cost([published(ada) for _ in range(2)]) == cost([published(ada) for _ in range(9)]) == 1
