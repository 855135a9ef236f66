"""What is made of disks, and whom they are given to, as a program meets it."""

from uuid import uuid4

import pytest

from core.models import Event
from portal.tests.test_api import Program
from registration.models import GIB, Scope
from registration.tests.factories import GroupFactory, MembershipFactory, UserFactory
from volumes.models import Arrival, DiskType, Offer, Share, Snapshot, Volume
from volumes.states import OfferState, SnapshotState, VolumeState
from volumes.tests.factories import (
    AttachmentFactory,
    OfferFactory,
    ShareFactory,
    SnapshotFactory,
    VolumeFactory,
)

pytestmark = pytest.mark.django_db

URL = "https://data.example.org/survey/sky.img.gz"
#: Fixed: the names of tests must be the same in every process of a parallel run.
NOTHING = "6f1f6f3e-3d39-4f0b-9a55-0b9e0b5f2c11"


@pytest.fixture
def alice():
    return UserFactory(username="alice", quota_disk_bytes=100 * GIB)


@pytest.fixture
def bob():
    return UserFactory(username="bob", quota_disk_bytes=100 * GIB)


@pytest.fixture
def program(alice):
    return Program(alice)


@pytest.fixture
def disk(alice, cloud):
    """One of Alice's that the cloud has too."""
    volume = VolumeFactory(owner=alice, tag="results", size_gib=2)
    ref = cloud.create_volume(volume.size_bytes, token=volume.token).ref
    Volume.objects.filter(pk=volume.pk).update(cloud_ref=ref)
    return volume


def path(disk, tail=""):
    return f"/disks/{disk.uuid}{tail}"


def refused(answer, code, status=409):
    assert (answer.status_code, answer.json()["code"]) == (status, code)


class TestFetching:
    def test_a_file_elsewhere_becomes_a_disk(self, program):
        asked = program.post(
            "/disks/fetch",
            {"url": URL, "type": "DATA_IMAGE_RAW_READONLY", "visibility": "public",
             "format": "raw", "expected_bytes": 4096, "sha256": "AB" * 32},
        )  # fmt: skip
        assert asked.status_code == 201
        told = asked.json()
        assert (told["tag"], told["state"], told["type"], told["visibility"]) == (
            "sky", "fetching", "DATA_IMAGE_RAW_READONLY", "public",
        )  # fmt: skip
        arrival = Arrival.objects.get()
        assert (arrival.url, arrival.format, arrival.expected_bytes, arrival.expected_sha256) == (
            URL, "raw", 4096, "ab" * 32,
        )  # fmt: skip

    def test_the_same_key_twice_is_one_disk(self, program):
        body = {"url": URL, "create_key": str(uuid4())}
        first, second = (program.post("/disks/fetch", body).json() for _ in range(2))
        assert first["uuid"] == second["uuid"]

    @pytest.mark.parametrize(
        ("said", "code", "status"),
        [
            ({}, "invalid", 422),
            ({"url": "ftp://example.org/x"}, "url", 409),
            ({"url": "http://user:secret@example.org/x"}, "url", 409),
            ({"url": URL, "tag": "x" * 41}, "disk_tag", 409),
            ({"url": URL, "sha1": "beef"}, "upload_digest", 409),
            ({"url": URL, "type": "DATA_IMAGE_LIVE"}, "upload_choice", 409),
            ({"url": URL, "format": "floppy"}, "invalid", 422),
            ({"url": URL, "expected_bytes": 0}, "invalid", 422),
            ({"url": URL, "expected_bytes": 101 * GIB}, "quota_disk", 409),
        ],
    )
    def test_what_cannot_be_fetched_says_why(self, program, said, code, status):
        refused(program.post("/disks/fetch", said), code, status)
        assert not Volume.objects.exists()


class TestCopies:
    def test_a_disk_is_copied_whole(self, program, disk, worker):
        made = program.post(path(disk, "/copy"), {"tag": "again"})
        assert (made.status_code, made.json()["state"]) == (201, "copying")
        worker.run()
        copy = program.get(f"/disks/{made.json()['uuid']}").json()
        assert (copy["state"], copy["tag"], copy["size_gib"]) == ("available", "again", 2.0)

    def test_nothing_has_to_be_said_and_a_key_makes_one(self, program, disk):
        assert program.post(path(disk, "/copy")).status_code == 201
        key = {"create_key": str(uuid4())}
        first, second = (program.post(path(disk, "/copy"), key).json() for _ in range(2))
        assert first["uuid"] == second["uuid"]

    def test_it_is_copied_as_it_was(self, program, disk):
        snapshot = SnapshotFactory(volume=disk)
        made = program.post(path(disk, "/copy"), {"snapshot": str(snapshot.uuid)})
        assert Volume.objects.get(uuid=made.json()["uuid"]).wanted_snapshot == snapshot.uuid

    def test_a_live_machine_image_is_saved_as_an_original(self, program, alice):
        live = VolumeFactory(owner=alice, type=DiskType.MACHINE_IMAGE_LIVE)
        made = program.post(path(live, "/copy"), {"as_original": True})
        assert made.json()["type"] == "MACHINE_IMAGE_ORIGIN"

    def test_whom_it_is_shared_with_copies_it_but_none_of_its_snapshots(self, program, alice):
        snapshot = SnapshotFactory()
        ShareFactory(volume=snapshot.volume, user=alice)
        assert program.post(path(snapshot.volume, "/copy")).json()["owner"] == "alice"
        was = program.post(path(snapshot.volume, "/copy"), {"snapshot": str(snapshot.uuid)})
        refused(was, "not_found", 404)

    def test_a_snapshot_of_another_disk_is_none_of_this_one(self, program, disk, alice):
        other = SnapshotFactory(volume__owner=alice)
        said = {"snapshot": str(other.uuid)}
        refused(program.post(path(disk, "/copy"), said), "not_found", 404)

    def test_a_disk_that_is_written_to_is_not_copied(self, program, alice):
        row = AttachmentFactory(volume__owner=alice)
        refused(program.post(path(row.volume, "/copy")), "disk_written")

    def test_an_administrators_token_reads_no_more_than_the_administrator(self, disk):
        refused(Program(UserFactory(admin=True)).post(path(disk, "/copy")), "not_yours")


class TestGrowing:
    def test_it_becomes_larger_and_never_smaller(self, program, disk, worker):
        grown = program.post(path(disk, "/grow"), {"size_gib": 5})
        assert (grown.status_code, grown.json()["state"]) == (202, "growing")
        worker.run()
        assert program.get(path(disk)).json()["size_gib"] == 5.0
        refused(program.post(path(disk, "/grow"), {"size_gib": 4}), "disk_size")
        refused(program.post(path(disk, "/grow"), {"size_gib": 200}), "quota_disk")
        refused(program.post(path(disk, "/grow"), {"size_gib": 1025}), "invalid", 422)


class TestEnds:
    def test_a_disk_of_the_bin_ends_for_good(self, program, alice, disk):
        refused(program.post(path(disk, "/purge")), "disk_state")
        binned = VolumeFactory(owner=alice, binned=True)
        answer = program.post(path(binned, "/purge"))
        assert (answer.status_code, answer.json()["state"]) == (202, "deleting")

    def test_one_that_failed_is_dismissed(self, program, alice, disk):
        refused(program.post(path(disk, "/dismiss")), "disk_state")
        failed = VolumeFactory(owner=alice, failed=True)
        assert program.post(path(failed, "/dismiss")).json()["state"] == "deleted"


class TestSnapshots:
    def test_one_is_taken_gone_back_to_and_deleted(self, program, disk, worker):
        taken = program.post(path(disk, "/snapshots"), {"name": "before"})
        assert taken.status_code == 201
        assert taken.json()["state"] == "taking"
        worker.run()
        [kept] = program.get(path(disk, "/snapshots")).json()
        assert (kept["name"], kept["state"], kept["size_bytes"]) == ("before", "ready", 2 * GIB)
        one = path(disk, f"/snapshots/{kept['uuid']}")
        assert program.get(one).json() == kept

        refused(program.post(f"{one}/restore", {"typed": "another"}), "name_not_typed")
        back = program.post(f"{one}/restore", {"typed": "before"})
        assert (back.status_code, back.json()["state"]) == (202, "restoring")
        worker.run()
        assert program.get(path(disk)).json()["state"] == "available"

        gone = program.ask("DELETE", one)
        assert (gone.status_code, gone.json()["state"]) == (202, "deleting")
        worker.run()
        assert program.get(path(disk, "/snapshots")).json() == []
        refused(program.get(one), "not_found", 404)

    def test_a_name_is_taken_once(self, program, disk):
        SnapshotFactory(volume=disk, name="before")
        refused(program.post(path(disk, "/snapshots"), {"name": "Before"}), "name_taken")
        refused(program.post(path(disk, "/snapshots"), {"name": " "}), "name_missing")

    def test_it_is_found_below_its_own_disk_only(self, program, disk, alice):
        other = SnapshotFactory(volume__owner=alice)
        for method, tail, body in [
            ("GET", "", None), ("DELETE", "", None), ("POST", "/restore", {"typed": other.name}),
        ]:  # fmt: skip
            answer = program.ask(method, path(disk, f"/snapshots/{other.uuid}{tail}"), body)
            refused(answer, "not_found", 404)
        other.refresh_from_db()
        assert other.state == SnapshotState.READY

    @pytest.mark.parametrize(
        ("method", "tail", "body"),
        [("GET", "", None), ("DELETE", "", None), ("POST", "/restore", {"typed": "before"})],
    )
    def test_for_whom_the_disk_is_shared_with_there_is_none(
        self, program, alice, method, tail, body
    ):
        snapshot = SnapshotFactory(name="before")
        ShareFactory(volume=snapshot.volume, user=alice, access="write")
        answer = program.ask(
            method, path(snapshot.volume, f"/snapshots/{snapshot.uuid}{tail}"), body
        )
        refused(answer, "not_found", 404)
        assert Event.objects.of(snapshot.volume.uuid).get().outcome == "denied"
        refused(program.get(path(snapshot.volume, "/snapshots")), "not_found", 404)
        assert Snapshot.objects.get().state == SnapshotState.READY

    def test_administrators_see_them_and_leave_them(self, disk):
        snapshot = SnapshotFactory(volume=disk)
        admin = Program(UserFactory(admin=True))
        assert admin.get(path(disk, "/snapshots")).json()[0]["name"] == snapshot.name
        refused(admin.ask("DELETE", path(disk, f"/snapshots/{snapshot.uuid}")), "not_yours")
        refused(admin.post(path(disk, "/snapshots"), {"name": "mine"}), "not_yours")


class TestShares:
    def test_a_disk_is_opened_to_a_person_and_closed_again(self, program, disk, bob):
        given = program.post(path(disk, "/shares"), {"username": "bob"})
        assert given.status_code == 201
        share = given.json()
        assert (share["username"], share["group"], share["access"]) == ("bob", None, "read")
        reader = Program(bob)
        assert reader.get(path(disk)).json()["access"] == "read"
        one = path(disk, f"/shares/{share['id']}")
        assert program.ask("PATCH", one, {"access": "write"}).json()["access"] == "write"
        assert reader.get(path(disk)).json()["access"] == "write"
        assert program.get(path(disk, "/shares")).json() == [share | {"access": "write"}]
        assert program.ask("DELETE", one).status_code == 204
        assert reader.get(path(disk)).status_code == 404
        refused(program.ask("DELETE", one), "not_found", 404)

    def test_said_again_it_is_changed(self, program, disk, bob):
        first, second = (
            program.post(path(disk, "/shares"), {"username": "bob", "access": access}).json()
            for access in ("read", "write")
        )
        assert (first["id"], second["access"]) == (second["id"], "write")
        assert Share.objects.count() == 1

    def test_a_group_is_named_by_its_number_and_one_is_in_it(self, program, disk, alice):
        group = GroupFactory()
        said = {"group": str(group.uuid), "access": "write"}
        refused(program.post(path(disk, "/shares"), said), "not_member")
        MembershipFactory(group=group, user=alice)
        given = program.post(path(disk, "/shares"), said).json()
        assert given["group"] == {"uuid": str(group.uuid), "name": group.name}
        assert given["username"] == ""

    @pytest.mark.parametrize(
        ("said", "code", "status"),
        [
            ({}, "share_whom", 409),
            ({"username": "bob", "group": NOTHING}, "not_member", 409),
            ({"username": "nobody-here"}, "nobody_of_that_name", 409),
            ({"username": "alice"}, "share_self", 409),
            ({"username": "bob", "access": "own"}, "invalid", 422),
        ],
    )
    def test_what_cannot_be_shared_says_why(self, program, disk, bob, said, code, status):
        refused(program.post(path(disk, "/shares"), said), code, status)
        assert not Share.objects.exists()

    def test_a_share_is_found_below_its_own_disk_only(self, program, disk, alice, bob):
        other = ShareFactory(volume__owner=alice, user=bob)
        tail = f"/shares/{other.pk}"
        refused(program.ask("DELETE", path(disk, tail)), "not_found", 404)
        refused(program.ask("PATCH", path(disk, tail), {"access": "write"}), "not_found", 404)
        assert Share.objects.get().access == "read"

    def test_whom_it_is_shared_with_learns_of_no_other(self, disk, bob):
        mine = ShareFactory(volume=disk, user=bob, access="write")
        reader = Program(bob)
        refused(reader.get(path(disk, "/shares")), "not_found", 404)
        refused(reader.ask("DELETE", path(disk, f"/shares/{mine.pk}")), "not_found", 404)
        refused(reader.post(path(disk, "/shares"), {"username": "alice"}), "not_yours")


class TestOffers:
    def test_a_disk_changes_hands(self, program, disk, bob):
        made = program.post(path(disk, "/offer"), {"username": "bob"})
        assert made.status_code == 201
        offer = made.json()
        assert (offer["owner"], offer["to"], offer["state"]) == ("alice", "bob", "offered")
        assert offer["disk"]["counts_bytes"] == 2 * GIB
        receiver = Program(bob)
        assert program.get("/offers").json() == receiver.get("/offers").json() == [offer]
        taken = receiver.post(f"/offers/{offer['uuid']}/accept").json()
        assert (taken["uuid"], taken["owner"]) == (str(disk.uuid), "bob")
        assert program.get(path(disk)).status_code == 404
        assert receiver.get("/offers").json() == []
        refused(receiver.post(f"/offers/{offer['uuid']}/decline"), "offer_over")

    def test_it_is_declined_or_withdrawn(self, program, alice, bob):
        receiver = Program(bob)
        for asks, verb, state in [
            (receiver, "decline", "declined"), (program, "withdraw", "withdrawn"),
        ]:  # fmt: skip
            offer = OfferFactory(volume__owner=alice, to=bob)
            assert asks.post(f"/offers/{offer.uuid}/{verb}").json()["state"] == state

    @pytest.mark.parametrize("verb", ["accept", "decline"])
    def test_nobody_answers_for_another(self, program, alice, bob, verb):
        offer = OfferFactory(volume__owner=alice, to=bob)
        refused(program.post(f"/offers/{offer.uuid}/{verb}"), "not_found", 404)
        stranger = Program(UserFactory())
        refused(stranger.post(f"/offers/{offer.uuid}/{verb}"), "not_found", 404)
        refused(Program(bob).post(f"/offers/{offer.uuid}/withdraw"), "not_found", 404)
        assert stranger.get("/offers").json() == []
        assert Offer.objects.get().state == OfferState.OFFERED

    def test_what_is_more_than_the_receivers_quota_stays(self, disk, bob):
        offer = OfferFactory(volume=disk, to=bob)
        SnapshotFactory(volume=disk, size_bytes=99 * GIB)
        receiver = Program(bob)
        assert receiver.get("/offers").json()[0]["disk"]["counts_bytes"] == 101 * GIB
        refused(receiver.post(f"/offers/{offer.uuid}/accept"), "quota_disk")

    def test_the_list_costs_the_same_with_many(
        self, program, alice, bob, django_assert_max_num_queries
    ):
        for _ in range(3):
            SnapshotFactory(volume=OfferFactory(volume__owner=alice, to=bob).volume)
        with django_assert_max_num_queries(12) as few:
            assert len(program.get("/offers").json()) == 3
        for _ in range(6):
            SnapshotFactory(volume=OfferFactory(volume__owner=alice, to=bob).volume)
        with django_assert_max_num_queries(len(few)):
            assert len(program.get("/offers").json()) == 9

    def test_a_disk_in_use_is_not_offered(self, program, alice, bob):
        row = AttachmentFactory(volume__owner=alice)
        refused(program.post(path(row.volume, "/offer"), {"username": "bob"}), "disk_in_use")


@pytest.mark.parametrize(
    ("tail", "body"),
    [
        ("/copy", None), ("/grow", {"size_gib": 9}), ("/purge", None), ("/dismiss", None),
        ("/snapshots", {"name": "x"}), ("/shares", {"username": "x"}),
        ("/offer", {"username": "x"}),
        (f"/snapshots/{NOTHING}/restore", {"typed": "x"}),
    ],
)  # fmt: skip
def test_a_strangers_disk_does_not_exist_and_the_audit_hears_of_it(program, alice, tail, body):
    volume = VolumeFactory()
    refused(program.post(path(volume, tail), body), "not_found", 404)
    assert Event.objects.of(volume.uuid).get().outcome == "denied"
    refused(program.post(f"/disks/{NOTHING}{tail}", body), "not_found", 404)


def test_a_token_that_reads_changes_nothing(alice, disk):
    reader = Program(alice, scope=Scope.READ)
    for tail in ("/snapshots", "/shares"):
        assert reader.get(path(disk, tail)).json() == []
        refused(reader.post(path(disk, tail), {}), "scope", 403)
    for tail in ("/copy", "/grow", "/purge", "/offer"):
        refused(reader.post(path(disk, tail), {}), "scope", 403)
    assert Volume.objects.get().state == VolumeState.AVAILABLE
