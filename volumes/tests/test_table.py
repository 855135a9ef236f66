"""The table of disks: which rows, for whom, in which order, and what they say."""

from datetime import datetime
from uuid import UUID

import pytest

from registration.tests.factories import GroupFactory, MembershipFactory, UserFactory
from vms.tests.factories import VMFactory
from volumes import table
from volumes.models import Access, DiskType, Visibility, Volume
from volumes.naming import listed
from volumes.states import AttachmentState, VolumeState
from volumes.tests.factories import ArrivalFactory, AttachmentFactory, ShareFactory, VolumeFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    return UserFactory(username="alice")


@pytest.fixture
def admin():
    return UserFactory(username="root_of_all", admin=True)


@pytest.fixture
def browser(client, alice):
    client.force_login(alice)
    return client


def tags(answer):
    return [row.volume.tag for row in answer.context["rows"]]


def see(browser, query=""):
    answer = browser.get(f"/volumes/{query}")
    assert answer.status_code == 200
    return tags(answer)


def test_each_tab_has_its_disks_and_their_number(browser, alice):
    bob = UserFactory()
    VolumeFactory(owner=alice, tag="own")
    VolumeFactory(owner=alice, tag="own public", public=True)
    VolumeFactory(owner=bob, tag="private of bob")
    VolumeFactory(owner=bob, tag="public of bob", public=True)
    ShareFactory(volume=VolumeFactory(owner=bob, tag="shared"), user=alice)
    group = GroupFactory()
    MembershipFactory(user=alice, group=group)
    ShareFactory(volume=VolumeFactory(owner=bob, tag="by group"), group=group, access=Access.WRITE)
    answer = browser.get("/volumes/")
    assert tags(answer) == ["own public", "own"]
    assert see(browser, "?tab=shared") == ["by group", "shared"]
    assert see(browser, "?tab=public") == ["public of bob"]
    assert [number for _, _, number in answer.context["tabs"]] == [2, 2, 1]


def test_only_administrators_have_the_tab_of_all(browser, client, alice, admin):
    VolumeFactory(tag="of somebody")
    assert see(browser, "?tab=all") == []
    assert "All of the site" not in browser.get("/volumes/").content.decode()
    client.force_login(admin)
    assert see(client, "?tab=all") == ["of somebody"]


def test_bin_and_what_is_gone_are_not_in_the_table(browser, alice):
    for state in (VolumeState.BINNED, VolumeState.DELETING, VolumeState.DELETED):
        VolumeFactory(owner=alice, state=state)
    VolumeFactory(owner=alice, tag="failed", failed=True)
    assert see(browser) == ["failed"]


def test_others_failed_and_arriving_disks_are_nobodys_business(browser):
    VolumeFactory(public=True, state=VolumeState.UPLOADING)
    VolumeFactory(public=True, failed=True)
    assert see(browser, "?tab=public") == []


@pytest.mark.parametrize(
    ("words", "is_found"),
    [
        ("results", True), ("RESULTS", True), ("résultats", False), ("results alice", True),
        ("results bob", False), ("12 GiB", True), ("12GiB", True), ("12", True), ("13 GiB", False),
        ("0.01 TiB", False), ("12288 MiB", True), ("private", True), ("public", False),
        ("available", True), ("in_use", False), ("read-only", True), ("READONLY", True),
        ("MMZu9W", True), ("2026-03-04", True), ("2026-03-05", False), ("'; drop", False),
        ("%", False), ("12 GiB results private", True),
    ],
)  # fmt: skip
def test_every_column_is_searched(browser, alice, words, is_found):
    volume = VolumeFactory(
        owner=alice,
        tag="results",
        size_gib=12,
        identifier="MMZu9WvwKIro-rtBQfDk4PsKO7",
        type=DiskType.DATA_IMAGE_RAW_READONLY,
    )
    type(volume).objects.filter(pk=volume.pk).update(created_at="2026-03-04T12:00:00Z")
    answer = browser.get("/volumes/", {"q": words})
    assert bool(tags(answer)) is is_found
    if not is_found:
        assert "No disks match" in answer.content.decode()


def test_a_part_of_the_uuid_is_found_with_and_without_its_dashes(browser, alice):
    volume = VolumeFactory(owner=alice, tag="it")
    VolumeFactory(owner=alice, tag="other")
    for part in (
        volume.token,
        volume.token[:8],
        volume.token[4:14],
        volume.uuid.hex,
        volume.uuid.hex[:10],
    ):
        assert see(browser, f"?q={part}") == ["it"]


def test_a_single_digit_does_not_find_every_uuid(browser, alice):
    for number in range(9):
        VolumeFactory(owner=alice, tag=f"data {number}", size_gib=20)
    assert see(browser, "?q=data+7") == ["data 7"]


def test_a_size_is_found_as_it_is_shown(browser, alice):
    VolumeFactory(owner=alice, tag="odd", size_bytes=311_427_584)  # 0.29 GiB
    assert see(browser, "?q=0.29+GiB") == ["odd"]
    assert see(browser, "?q=297+MiB") == ["odd"]


def test_a_machine_finds_the_disk_that_it_has_unless_it_is_a_strangers(browser, alice):
    mine = AttachmentFactory(volume__owner=alice, volume__tag="mine", vm__name="cruncher")
    AttachmentFactory(
        volume__tag="public", volume__public=True, vm__name="secret-name", read_only=True
    )
    assert see(browser, "?q=cruncher") == ["mine"]
    assert see(browser, "?tab=public&q=secret-name") == []
    mine.delete()
    assert see(browser, "?q=cruncher") == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?state=in_use", ["b"]), ("?state=binned", ["b", "a"]), ("?visibility=public", ["a"]),
        ("?type=DATA_IMAGE_RAW_READONLY", ["b"]), ("?type=nonsense", ["b", "a"]),
        ("?visibility=private&state=in_use", ["b"]), ("?sort=nonsense", ["b", "a"]),
        ("?page=999", ["b", "a"]), ("?page=x", ["b", "a"]), ("?tab=elsewhere", ["b", "a"]),
    ],
)  # fmt: skip
def test_filters_and_nonsense_in_the_address(browser, alice, query, found):
    VolumeFactory(owner=alice, tag="a", public=True)
    VolumeFactory(
        owner=alice, tag="b", state=VolumeState.IN_USE, type=DiskType.DATA_IMAGE_RAW_READONLY
    )
    assert see(browser, query) == found


@pytest.mark.parametrize("word", sorted(table.SORTS))
def test_every_column_sorts_both_ways(client, admin, word):
    client.force_login(admin)
    for number, (tag, owner) in enumerate([("b", "ursula"), ("a", "zoe"), ("c", "adam")]):
        volume = VolumeFactory(
            tag=tag,
            owner__username=owner,
            size_gib=number + 1,
            identifier=tag * 27,
            visibility=Visibility.values[number % 2],
            type=DiskType.values[number],
            state=VolumeState.IN_USE if tag == "a" else VolumeState.AVAILABLE,
        )
        if tag == "a":
            AttachmentFactory(volume=volume, read_only=True)
    there = see(client, f"?tab=all&sort={word}")
    assert see(client, f"?tab=all&sort=-{word}") == there[::-1]
    first = {
        "tag": "a", "size": "b", "owner": "c", "identifier": "a", "created": "b", "type": "c",
        "state": "c", "visibility": "c", "users": "b",
    }  # fmt: skip
    assert there[0] == first.get(word, there[0])


def test_pages_follow_each_other_without_gap(browser, alice):
    VolumeFactory.create_batch(30, owner=alice)
    seen = see(browser, "?sort=size") + see(browser, "?sort=size&page=2")
    assert len(set(seen)) == 30


def test_a_row_names_the_machines_that_one_may_know(browser, alice):
    volume = VolumeFactory(public=True, state=VolumeState.IN_USE, owner=UserFactory())
    AttachmentFactory(volume=volume, vm__name="theirs", read_only=True)
    AttachmentFactory(
        volume=volume, vm=VMFactory(owner=alice, name="ours", running=True), read_only=True
    )
    text = browser.get("/volumes/?tab=public").content.decode()
    assert "ours" in text
    assert "theirs" not in text
    assert "and 1 of others" in text


def test_an_ended_attachment_is_no_user(browser, alice):
    volume = VolumeFactory(owner=alice)
    AttachmentFactory(volume=volume, state=AttachmentState.DETACHED, vm__name="before")
    [row] = browser.get("/volumes/").context["rows"]
    assert (row.users, row.machines) == (0, [])


def test_a_disk_in_use_cannot_be_deleted_and_its_row_says_why(browser, alice):
    AttachmentFactory(volume__owner=alice, vm__name="web")
    text = browser.get("/volumes/").content.decode()
    assert "In use by web: detach it first." in text
    assert "disabled" in text
    assert "/delete/" not in text.replace("/volumes/delete/", "")


def test_what_a_row_offers_goes_by_access(browser, alice):
    bob = UserFactory()
    VolumeFactory(owner=alice)
    VolumeFactory(owner=bob, public=True)
    [own] = browser.get("/volumes/").context["rows"]
    assert {"attach", "copy", "delete", "share"} <= own.verbs
    [public] = browser.get("/volumes/?tab=public").context["rows"]
    assert public.verbs == {"attach", "copy", "download"}


def test_an_administrator_may_remove_and_not_read(client, admin):
    client.force_login(admin)
    VolumeFactory()
    [row] = client.get("/volumes/?tab=all").context["rows"]
    assert row.verbs == {"delete"}


def test_an_original_is_not_attached(browser, alice):
    VolumeFactory(owner=alice, type=DiskType.MACHINE_IMAGE_ORIGIN)
    [row] = browser.get("/volumes/").context["rows"]
    assert "attach" not in row.verbs


def test_access_of_a_row_is_that_of_the_disk(alice, admin):
    bob = UserFactory()
    volumes = [VolumeFactory(owner=bob), VolumeFactory(owner=bob, public=True), VolumeFactory(
        owner=alice)]  # fmt: skip
    ShareFactory(volume=volumes[0], user=alice, access=Access.WRITE)
    ShareFactory(volume=volumes[1], user=alice)
    for person in (alice, bob, admin):
        rows = table.shown(volumes, person)
        assert [row.access for row in rows] == [volume.access_of(person) for volume in volumes]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "No disk yet"), ("?tab=shared", "No disk is shared with you"),
        ("?tab=public", "No public disk of others"),
    ],
)  # fmt: skip
def test_nothing_there_and_nothing_found_are_two_things(browser, alice, query, words):
    assert words in browser.get(f"/volumes/{query}").content.decode()
    VolumeFactory(owner=alice)
    text = browser.get("/volumes/?q=nowhere").content.decode()
    assert "No disks match" in text
    assert "No disk yet" not in text


def test_a_row_shows_how_far_its_bytes_are(browser, alice):
    VolumeFactory(owner=alice, state=VolumeState.UPLOADING, bytes_done=1 << 20, bytes_total=1 << 21)
    text = browser.get("/volumes/").content.decode()
    assert "Received" in text
    assert 'value="1048576"' in text
    assert "Give it up" in text


def test_tags_are_shown_and_never_run(browser, alice):
    VolumeFactory(owner=alice, tag="<script>alert(1)</script>")
    text = browser.get("/volumes/").content.decode()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_the_row_of_a_binned_disk_is_gone(browser, alice):
    volume = VolumeFactory(owner=alice)
    assert browser.get(f"/volumes/{volume.uuid}/row/").status_code == 200
    binned = VolumeFactory(owner=alice, binned=True)
    assert browser.get(f"/volumes/{binned.uuid}/row/").status_code == 404


def test_the_script_gets_a_fragment_and_the_numbers_of_the_tabs(browser, alice):
    VolumeFactory(owner=alice)
    fragment = browser.get("/volumes/", headers={"X-Requested-With": "fetch"}).content.decode()
    assert "<html" not in fragment
    part = browser.get("/volumes/?part=tabs&tab=mine").content.decode()
    assert part.lstrip().startswith("<ul")
    assert "part=tabs" in part


def test_the_file_that_came_in_finds_its_disk_for_its_owner_alone(alice):
    volume = VolumeFactory(owner=alice, tag="one", public=True)
    ArrivalFactory(volume=volume, file_name="measured.qcow2")
    found = table.searched(table.rows_of(alice, table.MINE), "measured", alice)
    assert list(found) == [volume]
    other = UserFactory()
    rows = table.rows_of(other, table.PUBLIC)
    assert (rows.count(), table.searched(rows, "measured", other).count()) == (1, 0)


@pytest.mark.parametrize(
    ("word", "number"),
    [("2026-12-31", 1), ("2026-12", 1), ("2026", 2), ("2025", 0), ("2026-13", 0)],
)
def test_the_time_of_making_is_found_by_day_month_and_year(alice, word, number):
    days = ("2026-12-31T23:59:59+00:00", "2026-02-01T00:00:00+00:00")
    for key, day in enumerate(days, start=1):
        made = VolumeFactory(owner=alice, uuid=UUID(int=key))
        Volume.objects.filter(pk=made.pk).update(created_at=datetime.fromisoformat(day))
    assert table.searched(table.rows_of(alice, table.MINE), word, alice).count() == number


@pytest.mark.parametrize(
    ("names", "said"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"),
                        (["a", "b", "c"], "a, b and c")]
)  # fmt: skip
def test_names_are_listed_as_one_says_them(names, said):
    assert listed(names) == said


@pytest.mark.parametrize(("read_only", "offers"), [(True, True), (False, False)])
def test_what_a_machine_has_to_itself_is_not_offered_to_another(browser, alice, read_only, offers):
    volume = VolumeFactory(owner=alice, state=VolumeState.IN_USE)
    AttachmentFactory(volume=volume, read_only=read_only)
    text = browser.get("/volumes/").content.decode()
    assert (f"/volumes/{volume.uuid}/attach/" in text) is offers
