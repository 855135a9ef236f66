"""Launching with disks: what the form offers, what an order holds, and what is refused."""

from uuid import uuid4

import pytest

from cloud.errors import CloudRefused
from cloud.types import Plug
from core.errors import Refused
from core.models import Event
from marketplace.models import ImageFile
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from registration.models import GIB
from registration.tests.factories import SshKeyFactory, UserFactory
from vms import actions
from vms.models import VM
from vms.states import VmState
from vms.tests.factories import VMFactory
from vms.tests.test_actions import order
from volumes.models import Access, Attachment, DiskType, Volume
from volumes.states import AttachmentState, VolumeState
from volumes.tests.factories import AttachmentFactory, ShareFactory, VolumeFactory

#: Fixed: the names of tests must be the same in every process of a parallel run.
NO_DISK = "6f1f6f3e-3d39-4f0b-9a55-0b9e0b5f2c11"
pytestmark = pytest.mark.django_db

LIVE = DiskType.MACHINE_IMAGE_LIVE


@pytest.fixture
def alice():
    return UserFactory()


@pytest.fixture
def browser(client, alice):
    client.force_login(alice)
    return client


def launch(browser, entry=None, *, query="", **fields):
    answers = {"launch_key": str(uuid4()), "name": "web", "type_name": "m1.small",
               "without_key": "on", **fields}  # fmt: skip
    query = query or f"image={(entry or EntryFactory()).identifier}"
    return browser.post(f"/vms/launch/?{query}", answers)


def ticked(disk, how="write"):
    return f"{disk.uuid}:{how}"


def refusal(owner, **fields):
    with pytest.raises(Refused) as refused:
        actions.launch(owner=owner, order=order(**fields))
    return refused.value


class TestOrders:
    def test_disks_are_held_for_the_machine_from_the_start(self, alice):
        data, manual = VolumeFactory.create_batch(2, owner=alice)
        vm = actions.launch(owner=alice, order=order(disks=[(manual, True), (data, False)]))
        rows = Attachment.objects.filter(vm=vm)
        assert [(row.volume, row.read_only) for row in rows] == [(data, False), (manual, True)]
        assert {(row.state, row.at_launch, row.is_root) for row in rows} == {
            (AttachmentState.PLANNED, True, False)
        }
        assert set(Volume.objects.values_list("state", flat=True)) == {VolumeState.IN_USE}

    def test_the_engine_is_asked_for_all_of_them(self, alice):
        data, manual = VolumeFactory.create_batch(2, owner=alice)
        wanted = order(disks=[(data, False), (manual, True)], volatile_gib=[1, 3])
        spec = actions.launch(owner=alice, order=wanted).spec()
        assert spec.volumes == (
            Plug(volume=data.cloud_ref),
            Plug(volume=manual.cloud_ref, read_only=True),
        )
        assert spec.volatile_bytes == (GIB, 3 * GIB)
        assert (bool(spec.image), spec.root_volume) == (True, "")

    def test_one_disk_that_is_refused_keeps_the_whole_order_back(self, alice):
        free, taken = VolumeFactory(owner=alice), AttachmentFactory(volume__owner=alice).volume
        refused = refusal(alice, disks=[(free, False), (taken, False)])
        assert (refused.code, refused.field) == ("disk_in_use", "disks")
        assert not VM.objects.filter(name="web").exists()
        free.refresh_from_db()
        assert free.state == VolumeState.AVAILABLE

    def test_read_only_data_goes_to_many_machines(self, alice):
        data = VolumeFactory(type=DiskType.DATA_IMAGE_RAW_READONLY, public=True)
        for _ in range(3):
            actions.launch(owner=alice, order=order(disks=[(data, True)]))
        assert Attachment.objects.holding().filter(volume=data).count() == 3
        assert refusal(alice, disks=[(data, False)]).code == "disk_read_only"

    def test_a_disk_that_is_shared_to_read_is_read(self, alice):
        disk = VolumeFactory()
        ShareFactory(volume=disk, user=alice)
        assert refusal(alice, disks=[(disk, False)]).code == "disk_read_only_share"
        assert actions.launch(owner=alice, order=order(disks=[(disk, True)]))

    def test_a_denial_is_in_the_audit(self, alice):
        disk = VolumeFactory()
        assert refusal(alice, disks=[(disk, True)]).code == "disk_access"
        event = Event.objects.get(subject=disk.uuid, outcome="denied")
        assert (event.verb, event.by, event.owner) == ("attach", alice, disk.owner)

    def test_the_same_order_twice_plans_its_disks_once(self, alice):
        wanted = order(launch_key=uuid4(), disks=[(VolumeFactory(owner=alice), False)])
        assert actions.launch(owner=alice, order=wanted) == actions.launch(
            owner=alice, order=wanted
        )
        assert Attachment.objects.count() == 1

    @pytest.mark.parametrize(
        ("sizes", "words"),
        [
            ([30, 30], "50 GiB at most, together; these have 60 GiB"),
            ([0], "1 GiB or more"),
            ([1] * 5, "These are 5 volatile disks; a machine has 4 at most"),
        ],
    )
    def test_volatile_disks_have_limits(self, alice, settings, sizes, words):
        settings.PORTAL_VOLATILE_GIB = 50
        refused = refusal(alice, volatile_gib=sizes)
        assert (refused.code, refused.field) == ("volatile_size", "volatile")
        assert words in str(refused)


class TestFromADisk:
    def test_a_machine_boots_from_a_disk_that_nobody_uses(self, alice):
        disk = VolumeFactory(owner=alice, type=LIVE, tag="saved")
        vm = actions.launch(owner=alice, order=from_disk(disk, default_user="debian"))
        held = Attachment.objects.get()
        assert (held.volume, held.is_root, held.read_only) == (disk, True, False)
        spec = vm.spec()
        assert (spec.image, spec.root_volume, spec.volumes) == ("", disk.cloud_ref, ())
        assert (vm.login, vm.source, spec.inbound_ports) == ("debian", "disk saved", (22,))
        assert Event.objects.of(vm.uuid).first().detail["disk"] == "saved"

    def test_one_machine_at_a_time(self, alice):
        disk = VolumeFactory(owner=alice, type=LIVE)
        first = actions.launch(owner=alice, order=from_disk(disk, name="first"))
        with pytest.raises(Refused) as refused:
            actions.launch(owner=alice, order=from_disk(disk))
        assert (refused.value.code, refused.value.field) == ("disk_in_use", None)
        assert str(first) in str(refused.value)

    @pytest.mark.parametrize("kind", sorted(set(DiskType) - {LIVE}))
    def test_only_live_machine_images_boot(self, alice, kind):
        disk = VolumeFactory(owner=alice, type=kind)
        with pytest.raises(Refused, match="no machine can boot from it"):
            actions.launch(owner=alice, order=from_disk(disk))

    def test_who_may_only_read_it_cannot_boot_from_it(self, alice):
        disk = VolumeFactory(type=LIVE)
        given = ShareFactory(volume=disk, user=alice, access=Access.READ)
        with pytest.raises(Refused) as refused:
            actions.launch(owner=alice, order=from_disk(disk))
        assert refused.value.code == "disk_read_only_share"
        given.access = Access.WRITE
        given.save()
        assert actions.launch(owner=alice, order=from_disk(disk)).root_disk == disk

    def test_administrators_have_no_right_of_their_own_to_it(self):
        disk = VolumeFactory(type=LIVE)
        with pytest.raises(Refused) as refused:
            actions.launch(owner=UserFactory(admin=True), order=from_disk(disk))
        assert refused.value.code == "disk_access"


def from_disk(disk, **fields):
    size = {"type_name": "m1.small", "vcpus": 1, "memory_mib": 512}
    return actions.Order(**{"root_disk": disk, "name": "web", **size, **fields})


class TestForm:
    def test_it_offers_own_shared_and_public_disks(self, browser, alice):
        mine = VolumeFactory(owner=alice)
        public = VolumeFactory(public=True)
        shared = VolumeFactory()
        ShareFactory(volume=shared, user=alice, access=Access.WRITE)
        VolumeFactory()
        VolumeFactory(owner=alice, binned=True)
        VolumeFactory(owner=alice, failed=True)
        groups = page(browser).context["disk_groups"]
        found = {group.label: [line.volume for line in group.lines] for group in groups}
        assert found == {"My disks": [mine], "Shared with me": [shared], "Public disks": [public]}

    def test_each_disk_offers_what_may_be_done_with_it(self, browser, alice):
        mine = VolumeFactory(owner=alice)
        public = VolumeFactory(public=True)
        fixed = VolumeFactory(owner=alice, type=DiskType.DATA_IMAGE_RAW_READONLY)
        text = page(browser).content.decode()
        assert ticked(mine) in text
        assert ticked(mine, "read") in text
        for disk in (public, fixed):
            assert ticked(disk) not in text
            assert ticked(disk, "read") in text

    def test_what_cannot_be_chosen_says_why(self, browser, alice):
        held = AttachmentFactory(volume__owner=alice, vm__name="elsewhere", vm__owner=alice)
        VolumeFactory(owner=alice, type=DiskType.MACHINE_IMAGE_ORIGIN)
        VolumeFactory(owner=alice, creating=True)
        answer = page(browser)
        reasons = {choice.read for choice in answer.context["closed_disks"]}
        assert len(reasons) == 3
        assert any("elsewhere" in reason for reason in reasons)
        assert ticked(held.volume, "read") not in answer.content.decode()

    def test_disks_in_a_machine_to_read_can_be_read_by_another(self, browser, alice):
        disk = AttachmentFactory(volume__owner=alice, read_only=True).volume
        text = page(browser).content.decode()
        assert ticked(disk, "read") in text
        assert ticked(disk) not in text

    def test_a_disk_of_each_kind_is_launched_with(self, browser, alice):
        data, manual = VolumeFactory(owner=alice), VolumeFactory(public=True)
        other = VolumeFactory(owner=alice)
        launch(browser, disks=["", ticked(data), ticked(manual, "read")], volatile="2, 3")
        vm = VM.objects.get(name="web")
        held = set(vm.attachments.values_list("volume", "read_only"))
        assert held == {(data.pk, False), (manual.pk, True)}
        assert vm.volatile_gib == [2, 3]
        other.refresh_from_db()
        assert other.state == VolumeState.AVAILABLE

    def test_a_disk_that_somebody_took_meanwhile_is_refused_with_nothing_lost(self, browser, alice):
        gone, kept = VolumeFactory(owner=alice, tag="gone"), VolumeFactory(owner=alice, tag="kept")
        AttachmentFactory(volume=gone, vm=VMFactory(owner=alice, name="rival", running=True))
        Volume.objects.filter(pk=gone.pk).update(state=VolumeState.IN_USE)
        response = launch(
            browser, name="my machine", disks=[ticked(gone), ticked(kept, "read")], volatile="7",
            user_data="#!/bin/sh\n",
        )  # fmt: skip
        text = response.content.decode()
        assert response.status_code == 422
        assert "gone is attached to rival" in str(response.context["form"].errors["disks"])
        assert f'value="{ticked(kept, "read")}" selected' in text
        for typed in ('value="my machine"', 'value="7"', "#!/bin/sh"):
            assert typed in text
        assert not VM.objects.filter(name="my machine").exists()

    @pytest.mark.parametrize(
        ("word", "words"),
        [
            (f"{NO_DISK}:write", "not there any more"),
            (f"{NO_DISK}:format", "read and write, or read only"),
            (NO_DISK, "read and write, or read only"),
            ("all:read", "names no disk"),
            ("\0:read", "names no disk"),
        ],
    )
    def test_what_names_no_disk_is_refused(self, browser, word, words):
        response = launch(browser, disks=[word])
        assert response.status_code == 422
        assert words in str(response.context["form"].errors["disks"])

    def test_a_strangers_disk_is_none(self, browser, alice):
        disk = VolumeFactory(tag="secret plans")
        text = launch(browser, disks=[ticked(disk, "read")]).content.decode()
        assert "not there any more" in text
        assert "secret plans" not in text
        event = Event.objects.get(subject=disk.uuid, outcome="denied")
        assert (event.by, event.verb) == (alice, "attach")

    def test_a_disk_is_chosen_once(self, browser, alice):
        disk = VolumeFactory(owner=alice)
        response = launch(browser, disks=[ticked(disk), ticked(disk, "read")])
        assert "chosen twice" in str(response.context["form"].errors["disks"])

    @pytest.mark.parametrize("text", ["ten", "1.5", "-1", "10 GiB", "0", "51", "1 1 1 1 1", "²"])
    def test_sizes_that_are_none_get_their_error(self, browser, text):
        response = launch(browser, volatile=text)
        assert response.status_code == 422
        assert "volatile" in response.context["form"].errors
        assert not VM.objects.exists()

    @pytest.mark.parametrize("text", ["5", "5,", "2, 3", "2;3", "2 3"])
    def test_sizes_come_with_anything_between(self, browser, text):
        launch(browser, volatile=text)
        assert sum(VM.objects.get().volatile_gib) == 5

    def test_disks_of_the_address_are_ticked(self, browser, alice):
        mine, public = VolumeFactory(owner=alice), VolumeFactory(public=True)
        text = page(browser, disks=[str(mine.uuid).upper(), public.uuid]).content.decode()
        assert f'value="{ticked(mine)}" selected' in text
        assert f'value="{ticked(public, "read")}" selected' in text

    def test_a_disk_is_kept_in_mind_until_there_is_an_image(self, browser, alice):
        disk = VolumeFactory(owner=alice)
        answer = browser.get(f"/vms/launch/?disks={disk.uuid}", follow=True)
        assert "The disk that you chose is ticked on the page that follows" in answer.text
        answer = browser.get(f"/vms/launch/?image={EntryFactory().identifier}", follow=True)
        assert f'value="{ticked(disk)}" selected' in answer.content.decode()
        assert "selected>Read" not in page(browser).content.decode()

    def test_the_page_costs_the_same_with_many_disks(
        self, browser, alice, django_assert_max_num_queries
    ):
        for number in range(60):
            VolumeFactory(owner=alice, tag=f"disk {number}")
        AttachmentFactory.create_batch(10, volume__owner=alice)
        with django_assert_max_num_queries(32):
            assert len(page(browser).context["disk_groups"][0].lines) == 60

    def test_of_very_many_disks_the_latest_are_offered_and_the_rest_counted(self, browser, alice):
        first = VolumeFactory(owner=alice)
        VolumeFactory.create_batch(100, owner=alice)
        (group,) = page(browser).context["disk_groups"]
        assert (len(group.lines), group.more) == (100, 1)
        (group,) = page(browser, disks=[first.uuid]).context["disk_groups"]
        assert group.lines[0].volume == first
        assert (len(group.lines), group.more) == (101, 0)

    def test_without_any_disk_it_says_how_to_get_one(self, browser):
        assert "create one" in page(browser).content.decode()


def page(browser, **query):
    return browser.get("/vms/launch/", {"image": EntryFactory().identifier, **query})


class TestFormFromADisk:
    def test_it_launches_with_the_user_name_that_was_given(self, browser, alice):
        disk = VolumeFactory(owner=alice, type=LIVE, tag="saved")
        text = browser.get(f"/vms/launch/?disk={disk.uuid}").content.decode()
        assert "From the disk" in text
        assert 'name="default_user" value="root"' in text
        launch(browser, query=f"disk={disk.uuid}", default_user="debian")
        vm = VM.objects.get()
        assert (vm.root_disk, vm.entry, vm.default_user) == (disk, None, "debian")

    def test_it_launches_as_it_comes(self, browser, alice, cloud, worker):
        SshKeyFactory(owner=alice, is_default=True)
        disk = VolumeFactory(owner=alice, type=LIVE)
        ref = cloud.create_volume(disk.size_bytes, token=disk.token).ref
        Volume.objects.filter(pk=disk.pk).update(cloud_ref=ref)
        shown = browser.get(f"/vms/launch/?disk={disk.uuid}").context["form"]
        answers = {field.name: field.value() for field in shown if field.value() is not None}
        assert "disk_bus" not in answers
        assert browser.post(f"/vms/launch/?disk={disk.uuid}", answers | {"disk_bus": ""}).url
        worker.run(hours=0.001)
        vm = VM.objects.get()
        assert (vm.state, vm.disk_bus, vm.default_user) == (VmState.RUNNING, "virtio", "root")

    @pytest.mark.parametrize("name", ["Root", "a b", "-x", "x" * 33, "$(id)"])
    def test_what_is_no_user_name_is_refused(self, browser, alice, name):
        disk = VolumeFactory(owner=alice, type=LIVE)
        response = launch(browser, query=f"disk={disk.uuid}", default_user=name)
        assert "default_user" in response.context["form"].errors

    def test_a_disk_that_cannot_be_booted_says_why_and_offers_no_button(self, browser, alice):
        disk = VolumeFactory(owner=alice)
        text = browser.get(f"/vms/launch/?disk={disk.uuid}").content.decode()
        assert "no machine can boot from it" in text
        assert "Launch</button>" not in text

    def test_the_disk_itself_is_not_among_those_that_are_plugged_in(self, browser, alice):
        disk = VolumeFactory(owner=alice, type=LIVE)
        answer = browser.get(f"/vms/launch/?disk={disk.uuid}")
        assert not answer.context["disk_groups"]
        assert not answer.context["closed_disks"]

    @pytest.mark.parametrize("key", [NO_DISK, "nonsense"])
    def test_a_disk_that_is_not_there_is_not_found(self, browser, key):
        assert browser.get(f"/vms/launch/?disk={key}").status_code == 404

    def test_a_strangers_disk_is_not_found_and_the_audit_knows(self, browser, alice):
        disk = VolumeFactory(type=LIVE)
        assert browser.get(f"/vms/launch/?disk={disk.uuid}").status_code == 404
        assert Event.objects.get(subject=disk.uuid, outcome="denied").by == alice


class TestPages:
    """Every page that names what a machine was made from knows those that boot from a disk."""

    @pytest.fixture
    def vm(self, alice):
        disk = VolumeFactory(owner=alice, type=LIVE, tag="saved system")
        return VMFactory(owner=alice, entry=None, root_disk=disk, running=True, default_user="me")

    @pytest.mark.parametrize("path", ["/vms/", "/vms/{}/", "/vms/{}/row/", "/"])
    def test_the_disk_is_named_and_linked(self, browser, vm, path):
        text = browser.get(path.format(vm.uuid)).content.decode()
        assert "disk saved system" in text
        assert path == "/" or f'href="{vm.root_disk.get_absolute_url()}"' in text

    def test_ssh_lets_in_who_was_named(self, browser, vm):
        assert "me@127.0.0.1" in browser.get(vm.get_absolute_url()).content.decode()

    def test_a_disk_that_went_to_somebody_else_is_a_number(self, browser, vm):
        Volume.objects.update(owner=UserFactory(), tag="their secret")
        for path in ("/vms/", vm.get_absolute_url(), "/"):
            text = browser.get(path).content.decode()
            assert "their secret" not in text
            assert f"disk {vm.root_disk.token[:8]}" in text
        assert not browser.get("/vms/?q=secret").context["page"].object_list

    @pytest.mark.parametrize("word", ["saved", "system"])
    def test_machines_are_found_by_the_tag_of_their_disk(self, browser, vm, word):
        assert list(browser.get("/vms/", {"q": word}).context["page"]) == [vm]

    def test_a_failed_one_leads_back_to_its_disk(self, browser, vm):
        VM.objects.update(state=VmState.FAILED)
        text = browser.get(vm.get_absolute_url()).content.decode()
        assert f"/vms/launch/?disk={vm.root_disk.uuid}" in text

    def test_its_volatile_disks_are_shown_with_what_they_mean(self, browser, vm):
        VM.objects.update(volatile_gib=[10, 20])
        text = browser.get(vm.get_absolute_url()).content.decode()
        assert "10 GiB" in text
        assert "lost" in text


class TestLives:
    """From the order to the end, with a cloud that knows the disks."""

    @pytest.fixture
    def entry(self, cloud):
        entry = EntryFactory()
        cloud.put_image(entry.identifier)
        ImageFileFactory(entry=entry, ready=True)
        return entry

    @pytest.fixture
    def disk_of(self, cloud):
        def make(owner, **fields):
            disk = VolumeFactory(owner=owner, **fields)
            ref = cloud.create_volume(disk.size_bytes, token=disk.token).ref
            Volume.objects.filter(pk=disk.pk).update(cloud_ref=ref)
            return disk

        return make

    def test_disks_are_attached_when_it_runs_and_free_when_it_is_done(
        self, alice, entry, cloud, worker, disk_of
    ):
        disk, manual = disk_of(alice), disk_of(alice)
        vm = actions.launch(
            owner=alice,
            order=order(entry=entry, disks=[(disk, False), (manual, True)], volatile_gib=[1]),
        )
        worker.run(hours=0.001)
        states = Attachment.objects.values_list("state", "read_only")
        assert set(states) == {("attached", False), ("attached", True)}
        seen = {one.volume: one.read_only for one in cloud.find_vm(vm.token).disks}
        assert seen == {disk.token: False, manual.token: True}
        vm.refresh_from_db()
        actions.kill(vm, by=alice)
        worker.run(hours=0.001)
        assert set(Volume.objects.values_list("state", flat=True)) == {VolumeState.AVAILABLE}
        assert set(Attachment.objects.values_list("state", flat=True)) == {"detached"}

    def test_a_machine_from_a_disk_asks_for_no_image_and_leaves_the_disk(
        self, alice, cloud, worker, disk_of
    ):
        disk = disk_of(alice, type=LIVE)
        vm = actions.launch(owner=alice, order=from_disk(disk))
        worker.run(hours=0.001)
        vm.refresh_from_db()
        assert vm.state == VmState.RUNNING
        assert not ImageFile.objects.exists()
        disk.refresh_from_db()
        assert (disk.state, disk.written_at is not None) == (VolumeState.IN_USE, True)
        actions.kill(vm, by=alice)
        worker.run(hours=0.001)
        disk.refresh_from_db()
        vm.refresh_from_db()
        assert (vm.state, disk.state) == (VmState.DONE, VolumeState.AVAILABLE)
        assert actions.launch(owner=alice, order=from_disk(disk)).pk != vm.pk

    def test_a_failed_machine_keeps_its_disks_until_it_is_killed(
        self, alice, entry, cloud, worker, disk_of
    ):
        disk = disk_of(alice)
        vm = actions.launch(owner=alice, order=order(entry=entry, disks=[(disk, False)]))
        cloud.fail_next(CloudRefused("It needs 9 vCPUs; the largest host has 8."))
        worker.run(hours=0.001)
        vm.refresh_from_db()
        disk.refresh_from_db()
        assert (vm.state, disk.state) == (VmState.FAILED, VolumeState.IN_USE)
        assert "still holds what it reserved" in vm.meaning
        actions.kill(vm, by=alice)
        worker.run(hours=0.001)
        disk.refresh_from_db()
        assert disk.state == VolumeState.AVAILABLE

    def test_one_that_is_killed_before_it_starts_lets_its_disks_go(
        self, alice, cloud, worker, disk_of
    ):
        disk = disk_of(alice)
        vm = actions.launch(owner=alice, order=order(disks=[(disk, False)]))
        actions.kill(vm, by=alice)
        worker.run(hours=0.001)
        disk.refresh_from_db()
        assert disk.state == VolumeState.AVAILABLE
