"""Sizes of a person's own, beside those of the site."""

import pytest

from core.errors import Refused
from core.models import Event
from marketplace.tests.factories import EntryFactory
from registration.tests.factories import UserFactory
from vms import actions
from vms.models import VM, InstanceType

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(client):
    user = UserFactory()
    client.force_login(user)
    InstanceType.objects.all().delete()
    InstanceType.objects.create(name="m1.small", vcpus=1, memory_mib=512, is_default=True)
    return user


def own(owner, name="tiny", **more):
    size = InstanceType(**{"name": name, "vcpus": 1, "memory_mib": 128, **more})
    actions.save_own_type(size, owner=owner)
    return size


def test_a_person_defines_a_size_and_launches_with_it(client, alice):
    made = client.post("/vms/own-types/new/", {"name": "tiny", "vcpus": 1, "memory_mib": 128,
                                               "swap_mib": 0})  # fmt: skip
    assert made.url == "/vms/types/"
    entry = EntryFactory(min_memory_mib=0)
    assert "tiny" in client.get(f"/vms/launch/?image={entry.identifier}").content.decode()
    client.post(
        f"/vms/launch/?image={entry.identifier}",
        {"entry": entry.uuid, "launch_key": entry.uuid, "name": "web", "type_name": "tiny",
         "without_key": "on"},
    )  # fmt: skip
    assert VM.objects.get().memory_mib == 128


def test_sizes_of_others_are_not_offered_and_not_there(client, alice):
    own(UserFactory(), "theirs")
    assert not InstanceType.objects.offered_to(alice).filter(name="theirs").exists()
    assert client.get("/vms/own-types/theirs/").status_code == 404
    assert client.post("/vms/own-types/theirs/delete/").status_code == 404


def test_the_pages_of_the_site_show_no_size_of_a_person(client, alice):
    own(alice)
    client.force_login(UserFactory(is_staff=True))
    assert "tiny" not in client.get("/vms/types/").content.decode()
    assert client.get("/vms/types/tiny/").status_code == 404


def test_ones_own_size_takes_the_place_of_the_sites(alice):
    size = own(alice, "m1.small")
    assert list(InstanceType.objects.offered_to(alice)) == [size]
    assert InstanceType.objects.offered_to(UserFactory()).get().owner is None


def test_a_size_beyond_the_quota_names_the_number(client, alice):
    with pytest.raises(Refused) as refused:
        own(alice, memory_mib=1_000_000)
    assert refused.value.code == "size_over_quota"
    answer = client.post("/vms/own-types/new/", {"name": "big", "vcpus": 64, "memory_mib": 128,
                                                 "swap_mib": 0})  # fmt: skip
    assert answer.status_code == 422
    assert "a machine of 64 would never fit" in answer.content.decode()


def test_a_name_is_ones_own_once(alice):
    own(alice)
    with pytest.raises(Refused) as refused:
        own(alice)
    assert refused.value.code == "size_taken"


def test_there_are_at_most_fifty(alice):
    for number in range(actions.MOST_OWN_SIZES):
        own(alice, f"s{number}")
    with pytest.raises(Refused) as refused:
        own(alice, "one-more")
    assert refused.value.code == "too_many_sizes"


def test_a_change_and_an_end_are_in_the_audit(client, alice):
    size = own(alice)
    client.post("/vms/own-types/tiny/", {"name": "tiny", "vcpus": 2, "memory_mib": 128,
                                         "swap_mib": 0})  # fmt: skip
    client.post("/vms/own-types/tiny/delete/")
    assert not InstanceType.objects.filter(pk=size.pk).exists()
    verbs = Event.objects.filter(kind="instance_type", owner=alice).values_list("verb", flat=True)
    assert list(verbs) == ["added", "changed", "removed"]


def test_nobody_deletes_a_size_of_somebody_else(alice):
    with pytest.raises(Refused) as refused:
        actions.delete_own_type(own(UserFactory()), by=alice)
    assert refused.value.code == "not_yours"


def test_the_name_of_a_site_size_is_the_sites_once(client, alice):
    client.force_login(UserFactory(is_staff=True))
    form = {"name": "m1.small", "vcpus": 1, "memory_mib": 128, "swap_mib": 0, "is_offered": "on"}
    answer = client.post("/vms/types/new/", form)
    assert answer.status_code == 422
    assert "The site has a size m1.small already." in answer.content.decode()
