"""What is held of a quota, in words and for programs."""

import pytest

from registration.models import GIB, User
from registration.tests.factories import UserFactory
from vms import actions
from vms.quota import Use, in_gib
from vms.tests.factories import VMFactory
from volumes.tests.factories import SnapshotFactory, VolumeFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    return UserFactory()


def disk_line(person):
    return next(line for line in actions.quota_use(person) if line.name == "disk")


def test_disks_snapshots_and_the_bin_count_together(alice):
    disk = VolumeFactory(owner=alice, size_gib=2)
    SnapshotFactory(volume=disk)
    VolumeFactory(owner=alice, binned=True)
    VolumeFactory(owner=alice, failed=True)
    VolumeFactory()
    assert disk_line(alice) == Use("disk", "persistent disk", 5, 100, "GiB")


@pytest.mark.parametrize(
    ("size_bytes", "gib"),
    [(0, 0), (GIB, 1), (GIB // 2, 0.5), (300 * 2**20, 0.29), (1023 * GIB + GIB // 2, 1023.5)],
)
def test_gib_have_two_decimals_at_most(size_bytes, gib):
    assert in_gib(size_bytes) == gib
    assert str(in_gib(size_bytes)) == str(gib)


def test_what_is_left_is_rounded_too_and_never_less_than_nothing(alice):
    VolumeFactory(owner=alice, size_bytes=300 * 2**20)
    User.objects.filter(pk=alice.pk).update(quota_disk_bytes=GIB)
    alice.refresh_from_db()
    assert disk_line(alice).left == 0.71
    VolumeFactory(owner=alice, size_gib=9)
    assert disk_line(alice).left == 0


def test_a_machine_needs_no_room_in_the_quota_of_disk(alice):
    VolumeFactory(owner=alice, size_gib=999)
    size = VMFactory.build(vcpus=1, memory_mib=512)
    assert actions.over_quota(actions.machine_use(alice), size) is None


def test_ones_own_page_says_it(client, alice):
    VolumeFactory(owner=alice, size_bytes=300 * 2**20)
    client.force_login(alice)
    text = client.get("/profile/usage/").content.decode()
    assert "<strong>0.29</strong> of 100 GiB" in text
