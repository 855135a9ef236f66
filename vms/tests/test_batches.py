"""Several machines in one order: all of them, or as many as can be."""

from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.errors import Refused
from core.models import Event
from marketplace.tests.factories import EntryFactory
from registration.tests.factories import UserFactory
from vms import actions
from vms.models import VM, Batch
from vms.states import VmState
from vms.tests.factories import VMFactory
from volumes.tests.factories import VolumeFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    return UserFactory(quota_machines=10, quota_vcpus=20)


def orders(number, **fields):
    entry = fields.pop("entry", None) or EntryFactory()
    size = {"type_name": "m1.small", "vcpus": 1, "memory_mib": 512, "entry": entry}
    return [actions.Order(**{**size, "name": f"web-{n + 1}", **fields}) for n in range(number)]


def many(owner, wanted, **more):
    return actions.launch_many(
        owner=owner, orders=wanted, **{"name": "web", "key": uuid4(), **more}
    )


def refusal(owner, wanted, **more):
    with pytest.raises(Refused) as refused:
        many(owner, wanted, **more)
    return refused.value


def test_one_order_makes_all_machines_and_says_so_in_the_history(alice):
    batch = many(alice, orders(3))
    machines = list(batch.vms.order_by("pk"))
    assert [vm.name for vm in machines] == ["web-1", "web-2", "web-3"]
    assert {vm.state for vm in machines} == {VmState.PENDING}
    assert Event.objects.get(subject=batch.uuid).detail == {"asked": 3, "launched": 3}


def test_the_same_key_twice_is_one_batch(alice):
    key, wanted = uuid4(), orders(2)
    assert many(alice, wanted, key=key) == many(alice, orders(2), key=key)
    assert VM.objects.count() == 2


def test_the_key_of_somebody_else_is_refused(alice):
    batch = many(UserFactory(), orders(1))
    assert refusal(alice, orders(1), key=batch.uuid).code == "batch_key"


def test_a_quota_that_is_too_small_says_how_many_fit(alice):
    VMFactory.create_batch(3, owner=alice)
    refused = refusal(alice, orders(20))
    assert refused.code == "quota_machines"
    assert "you hold 3 and these 20 machines need 20. Only the first 7 fit." in str(refused)
    assert not Batch.objects.exists()


def test_what_fits_is_launched_and_the_rest_kept_with_its_reason(alice):
    VMFactory.create_batch(8, owner=alice)
    batch = many(alice, orders(4), all_or_nothing=False)
    assert batch.vms.count() == 2
    assert [one["row"] for one in batch.refused] == [3, 4]
    assert "Your quota is 10 machines" in batch.refused[0]["reason"]


def test_a_smaller_machine_after_one_that_did_not_fit_is_launched(alice):
    large, small = orders(1, vcpus=30)[0], orders(1)[0]
    batch = many(alice, [large, small], all_or_nothing=False)
    assert [vm.name for vm in batch.vms.all()] == [small.name]


def test_a_batch_of_which_nothing_can_be_launched_is_refused(alice):
    refused = refusal(alice, orders(2, vcpus=30), all_or_nothing=False)
    assert refused.code == "quota_vcpus"
    assert not Batch.objects.exists()


def test_one_disk_to_write_goes_into_one_machine_only(alice):
    disk = VolumeFactory(owner=alice)
    wanted = orders(2, disks=[(disk, False)])
    refused = refusal(alice, wanted)
    assert list(refused.rows) == [2]
    assert not VM.objects.exists()
    batch = many(alice, wanted, all_or_nothing=False)
    assert (batch.vms.count(), [one["row"] for one in batch.refused]) == (1, [2])


def test_rows_that_cannot_be_are_named_before_anything_is_launched(alice):
    good, bad = orders(1), orders(1, volatile_gib=[0])
    refused = refusal(alice, [*good, *bad])
    assert refused.code == "batch_rows"
    assert refused.rows[2].code == "volatile_size"
    assert "row 2" in str(refused)


def test_an_empty_batch_and_too_large_a_one_are_refused(alice):
    assert refusal(alice, []).code == "batch_empty"
    assert refusal(alice, orders(201)).code == "batch_too_many"


def test_a_hidden_character_in_the_name_of_a_batch_is_refused(alice):
    assert refusal(alice, orders(1), name="we\u202eb").code == "batch_name"


def test_an_order_that_was_launched_already_is_not_launched_again(alice):
    [order] = orders(1)
    actions.launch(owner=alice, order=order)
    assert refusal(alice, [order]).code == "launched_already"


def test_machines_that_differ_by_their_name_alone_are_judged_once(alice):
    entry = EntryFactory()
    counts = []
    for number in (2, 4):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            many(alice, orders(number, entry=entry))
        counts.append(len(queries))
    assert (counts[1] - counts[0]) / 2 < 12
