"""The table of disks costs as many queries for thirty as for two, and sorts nothing."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from registration.tests.factories import GroupFactory, MembershipFactory, UserFactory
from volumes import table
from volumes.models import Access, Volume
from volumes.tests.factories import (
    AttachmentFactory,
    ShareFactory,
    SnapshotFactory,
    VolumeFactory,
)

pytestmark = pytest.mark.django_db

FEW, MANY = 2, 30


@pytest.fixture
def admin():
    return UserFactory(admin=True)


def held(admin, number, **fields):
    for _ in range(number):
        AttachmentFactory(volume=VolumeFactory(**fields), read_only=True)
    for volume in Volume.objects.all():
        Volume.objects.filter(pk=volume.pk).update(state="in_use")


def own(admin, number):
    held(admin, number, owner=admin, uploaded=True)


def public(admin, number):
    held(admin, number, public=True)


def shared(admin, number):
    group = GroupFactory()
    MembershipFactory(user=admin, group=group)
    for _ in range(number):
        ShareFactory(volume=VolumeFactory(), user=admin, access=Access.WRITE)
        ShareFactory(volume=VolumeFactory(), group=group)


def binned(admin, number):
    for _ in range(number):
        SnapshotFactory(volume=VolumeFactory(owner=admin, binned=True))


def to_delete(admin, number):
    for _ in range(number):
        volume = VolumeFactory(owner=admin, uploaded=True, written_at=timezone.now())
        SnapshotFactory(volume=volume)
        ShareFactory(volume=volume, user=UserFactory())
        ShareFactory(volume=volume, group=GroupFactory())


@pytest.mark.parametrize(
    ("path", "fill"),
    [
        ("/volumes/", own),
        ("/volumes/?tab=public", public),
        ("/volumes/?tab=shared", shared),
        ("/volumes/?tab=all", public),
        ("/volumes/?tab=all&q=disk+1+GiB&sort=users", public),
        ("/volumes/?part=tabs", own),
        ("/volumes/bin/", binned),
        ("/volumes/bin/?tab=all", binned),
        ("/volumes/delete/?{disks}", to_delete),
        ("/volumes/bin/purge/?{disks}", binned),
        ("/volumes/new/", own),
    ],
)
def test_a_page_costs_the_same_for_two_disks_and_for_thirty(client, admin, path, fill):
    client.force_login(admin)
    counts = []
    for number in (FEW, MANY - FEW):
        fill(admin, number)
        disks = "&".join(f"disk={uuid}" for uuid in Volume.objects.values_list("uuid", flat=True))
        with CaptureQueriesContext(connection) as queries:
            assert client.get(path.format(disks=disks)).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1], path


@pytest.fixture
def plan():
    """What SQLite does for a query; PostgreSQL sorts a small table, index or not."""
    if connection.vendor != "sqlite":
        pytest.skip("SQLite's plans are looked at")
    return lambda rows: rows.values_list("pk", flat=True)[:25].explain()


@pytest.mark.parametrize("word", sorted(table.SORTS.keys() - {"users", "owner"}))
@pytest.mark.parametrize("way", ["", "-"])
def test_a_page_of_all_disks_is_found_in_the_order_of_an_index(plan, admin, word, way):
    said = plan(table.ordered(table.rows_of(admin, table.ALL), way + word))
    assert "TEMP B-TREE" not in said, said


@pytest.mark.parametrize("tab", [table.MINE, table.PUBLIC])
def test_the_first_page_of_a_tab_is_found_in_the_order_of_an_index(plan, admin, tab):
    said = plan(table.ordered(table.rows_of(admin, tab), table.FIRST))
    assert "TEMP B-TREE" not in said, said


@pytest.mark.parametrize("tab", [table.MINE, table.PUBLIC, table.ALL, table.BIN])
def test_a_tab_is_counted_without_a_look_at_its_rows(plan, admin, tab):
    with CaptureQueriesContext(connection) as queries:
        table.rows_of(admin, tab).count()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {queries[0]['sql']}")
        said = str(cursor.fetchall())
    assert "COVERING INDEX" in said, said
