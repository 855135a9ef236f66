"""An image of a copy begins with what was said of the disk that it was copied from."""

from uuid import uuid4

import pytest
from django.urls import reverse

from marketplace.actions.inheriting import answers_about
from marketplace.models import Draft
from registration.tests.factories import UserFactory
from volumes.models import Origin, Volume
from volumes.tests.factories import VolumeFactory

pytestmark = pytest.mark.django_db

SAID = {
    "title": "Simulation node", "version": "2.1", "description": "With MPI.", "os": "Debian",
    "os_version": "12", "creator": "Ada", "kind": "machine", "inbound_ports": "22, 80",
}  # fmt: skip
OF_THE_FILE = {"locations": "https://example.org/a.img", "valid": "2020-01-01", "rules": ["keys"]}


@pytest.fixture
def ada():
    return UserFactory()


@pytest.fixture
def saved(ada) -> Volume:
    disk = VolumeFactory(owner=ada, origin=Origin.SAVED)
    Draft.objects.create(
        owner=ada, create_key=uuid4(), about="disk", cloud="local", volume=disk, state="published",
        fields=SAID | OF_THE_FILE,
    )  # fmt: skip
    return disk


def copied(disk: Volume, origin: Origin = Origin.CLEANED, **more) -> Volume:
    return VolumeFactory(**{"owner": disk.owner, "origin": origin, "source": disk} | more)


@pytest.mark.parametrize("origin", [Origin.CLEANED, Origin.COPIED])
def test_what_was_said_of_it_is_offered_and_what_was_of_its_file_is_not(saved, origin):
    assert answers_about(copied(saved, origin), by=saved.owner) == SAID


def test_copies_of_copies_lead_to_the_nearest_that_something_was_said_of(saved):
    cleaned = copied(copied(saved, Origin.COPIED))
    assert answers_about(cleaned, by=saved.owner) == SAID


def test_the_latest_answers_count(saved):
    Draft.objects.create(
        owner=saved.owner, create_key=uuid4(), about="disk", cloud="local", volume=saved,
        state="ready", fields={"title": "Renamed"},
    )  # fmt: skip
    assert answers_about(copied(saved), by=saved.owner) == {"title": "Renamed"}


def test_nothing_comes_from_disks_of_others_or_from_nowhere(saved, ada):
    bob = UserFactory()
    assert answers_about(copied(saved, owner=bob), by=bob) == {}
    assert answers_about(VolumeFactory(owner=ada), by=ada) == {}
    assert answers_about(saved, by=ada) == {}


def test_the_form_of_a_cleaned_copy_is_filled_in(client, saved):
    client.force_login(saved.owner)
    form = {"of": "disk", "create_key": uuid4(), "disk": copied(saved).uuid}
    answer = client.post(reverse("marketplace:build"), form)
    assert answer.status_code == 302
    draft = Draft.objects.latest("pk")
    assert {name: draft.fields[name] for name in SAID} == SAID
    assert "valid" not in draft.fields


def test_data_is_what_it_is_said_to_be(client, saved):
    client.force_login(saved.owner)
    form = {"of": "disk", "create_key": uuid4(), "disk": copied(saved).uuid, "is_data": "on"}
    client.post(reverse("marketplace:build"), form)
    fields = Draft.objects.latest("pk").fields
    assert (fields["kind"], fields["title"]) == ("disk", "Simulation node")
