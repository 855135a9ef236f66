"""Machines become images: planned, shut down, copied, signed, told of, and gone."""

import email
import hashlib
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import rsa
from django.core import mail
from django.utils import timezone

from cloud.errors import CloudUnavailable
from cloud.types import VmPhase
from core.caller import Caller, called
from core.errors import Refused
from core.models import Event
from marketplace import certificates, documents, pdisk
from marketplace.actions import keys
from marketplace.models import Draft, Entry
from marketplace.states import DraftState, EntryStatus, Visibility
from marketplace.tests.factories import EntryFactory
from registration import outbox
from registration.models import GIB, OutgoingMail
from registration.tests.factories import UserFactory
from vms import actions
from vms.actions import Image
from vms.lifecycle.saving import MOST_TO_OTHERS, _may_be_mailed
from vms.models import VM, Saving
from vms.states import SavingState, VmState
from vms.tests.factories import VMFactory
from volumes import actions as volumes
from volumes.models import DiskType, Origin, Volume
from volumes.states import VolumeState
from volumes.tests.factories import VolumeFactory

pytestmark = pytest.mark.django_db
MIB = 1 << 20
IMAGE = Image(
    title="Debian with R", comment="Has R 4.3.", author="Ada Lovelace",
    email="ada@example.org", version="1.3",
)  # fmt: skip


@pytest.fixture
def ada():
    return UserFactory(
        username="ada", given_name="Ada", family_name="Lovelace", email="ada@example.org",
        email_confirmed_at=timezone.now(), state="active",
    )  # fmt: skip


@pytest.fixture
def base():
    return EntryFactory(
        title="Debian 12", os="Debian", os_version="12", os_arch="x86_64", version="1.2",
        virtual_size_bytes=2 * MIB, inbound_ports=[22, 80], default_user="debian",
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _one_key(monkeypatch):
    """A key takes a second to make."""
    monkeypatch.setattr(certificates, "new_private_key", _private_key)


@cache
def _private_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def vm(ada, base, cloud):
    cloud.put_image(base.identifier, size_bytes=MIB)
    return running(ada, base, cloud)


def running(owner, entry, cloud) -> VM:
    """A machine on which something was done by hand."""
    vm = VMFactory(owner=owner, entry=entry, running=True)
    cloud.create_vm(vm.spec(), token=vm.token)
    cloud.set_phase(vm.cloud_ref, VmPhase.RUNNING)
    cloud.write_root_disk(vm.cloud_ref, b"made by hand")
    return vm


def with_(**other) -> Image:
    return replace(IMAGE, **other)


def ended(vm) -> VM:
    return VM.objects.select_related("saving__volume", "saving__entry", "saving__draft").get(
        pk=vm.pk
    )


def delivered():
    """The mail to the machine's owner."""
    OutgoingMail.objects.update(next_try_at=timezone.now())  # the worker's clock was ahead
    outbox.deliver()
    (sent,) = [one for one in mail.outbox if "New image created" in one.subject]
    return sent


def until(worker, vm, state) -> VM:
    looked_at(worker, VM.objects.filter(pk=vm.pk, state=state))
    return ended(vm)


def looked_at(worker, wanted) -> None:
    """Machines are looked at, as if their time had come, until there is such a row."""
    for _ in range(50):
        worker.step()
        if wanted.exists():
            return
        VM.objects.filter(next_tick_at__isnull=False).update(next_tick_at=timezone.now())
    pytest.fail(f"nothing came to be {wanted.query}")


def states(row) -> list[str]:
    return [event.now for event in Event.objects.of(row.uuid).order_by("pk") if event.now]


def test_a_machine_becomes_an_image(vm, ada, base, worker, cloud):
    actions.save(vm, IMAGE, by=ada)
    worker.run()
    vm = ended(vm)
    saving = vm.saving
    assert (vm.state, saving.state, saving.reason) == (VmState.DONE, SavingState.DONE, "")
    assert states(vm)[-3:] == ["shutdown", "epilog", "done"]
    assert states(saving) == ["planned", "copying", "signing", "done"]
    assert cloud.world.vms == {}
    data = b"made by hand".ljust(2 * MIB, b"\0")
    volume = saving.volume
    assert (volume.owner, volume.tag, volume.type, volume.origin, volume.state) == (
        ada, "Debian with R", DiskType.MACHINE_IMAGE_ORIGIN, Origin.SAVED, VolumeState.AVAILABLE,
    )  # fmt: skip
    entry = saving.entry
    assert entry.sha512 == hashlib.sha512(data).hexdigest()
    assert entry.size_bytes == 2 * MIB
    assert (entry.owner, entry.visibility, entry.endorser_email) == (
        ada, Visibility.PRIVATE, "ada@example.org",
    )  # fmt: skip
    assert (entry.title, entry.description, entry.creator, entry.version) == (
        "Debian with R", "Has R 4.3.", "Ada Lovelace", "1.3",
    )  # fmt: skip
    assert (entry.os, entry.os_version, entry.os_arch, entry.default_user) == (
        "Debian", "12", "x86_64", "debian",
    )  # fmt: skip
    assert entry.inbound_ports == [22, 80]
    assert entry.locations == [pdisk.address_of(volume.uuid)]
    two_days = timedelta(days=2)
    assert two_days - timedelta(hours=1) < entry.valid_until - saving.state_since <= two_days
    assert entry.status is EntryStatus.VALID
    documents.verify(bytes(entry.document.xml))
    assert saving.draft.state == DraftState.PUBLISHED
    assert keys.key_of(ada) is not None


def test_its_author_is_told_with_the_draft(vm, ada, worker):
    actions.save(vm, IMAGE, by=ada)
    worker.run()
    (row,) = OutgoingMail.objects.filter(kind="image_saved")
    assert row.to == "ada@example.org"
    assert "Debian with R" not in row.sealed
    sent = delivered()
    saving = ended(vm).saving
    assert saving.volume.identifier in sent.subject
    for path in (saving.volume.get_absolute_url(), saving.entry.permalink, "/vms/launch/?image="):
        assert path in sent.body
    message = email.message_from_bytes(sent.message().as_bytes())
    (part,) = [part for part in message.walk() if part.get_filename()]
    assert part.get_filename() == f"{saving.volume.identifier}-draft.xml"
    metadata = part.get_payload(decode=True)
    assert saving.volume.sha256.encode() in metadata
    assert b"Ada Lovelace" in metadata
    assert b"Signature" not in metadata


def test_who_launches_can_say_so_at_once(ada, base, cloud, worker):
    cloud.put_image(base.identifier, size_bytes=MIB)
    order = actions.Order(
        entry=base, name="m", type_name="m1.small", vcpus=1, memory_mib=512, image=IMAGE
    )
    vm = actions.launch(owner=ada, order=order)
    assert vm.saving.state == SavingState.PLANNED
    actions.shut_down(until(worker, vm, VmState.RUNNING), by=ada)
    worker.run()
    assert ended(vm).saving.state == SavingState.DONE


def test_an_image_that_lacks_something_is_refused_before_anything_starts(ada, base):
    for name in ("title", "comment", "author", "version", "email"):
        lacking = with_(**{name: " "})
        order = actions.Order(
            entry=base, name="m", type_name="m", vcpus=1, memory_mib=512, image=lacking
        )
        with pytest.raises(Refused) as refused:
            actions.launch(owner=ada, order=order)
        assert refused.value.field == name
    assert not VM.objects.exists()


def test_a_guest_that_ignores_the_power_button_goes_on_with_its_plan(vm, ada, worker, cloud):
    cloud.ignore_power_button(vm.cloud_ref)
    actions.save(vm, IMAGE, by=ada)
    worker.run(hours=0.2)
    vm = ended(vm)
    assert (vm.state, vm.saving.state) == (VmState.RUNNING, SavingState.PLANNED)
    assert "ignored the power button for 2 minutes" in vm.reason
    assert "switch it off and save" in vm.reason
    actions.save(vm, None, by=ada, power_off=True)
    worker.run()
    assert (ended(vm).state, ended(vm).saving.state) == (VmState.DONE, SavingState.DONE)
    assert "power_off_vm" in cloud.world.calls


def test_whoever_waits_for_the_guest_may_switch_it_off_at_once(vm, ada, worker, cloud):
    cloud.ignore_power_button(vm.cloud_ref)
    actions.save(vm, IMAGE, by=ada)
    worker.step()
    actions.save(VM.objects.get(pk=vm.pk), None, by=ada, power_off=True)
    with time_machine.travel(timezone.now() + timedelta(seconds=30), tick=False):
        worker.step()
        worker.step()
    assert "power_off_vm" in cloud.world.calls


def test_a_pulled_plug_is_not_remembered_for_the_next_time(vm, ada, worker, cloud):
    VM.objects.filter(pk=vm.pk).update(asked="power_off")
    vm.refresh_from_db()
    actions.shut_down(vm, by=ada)
    assert VM.objects.get(pk=vm.pk).asked == ""


def test_a_halted_machine_is_saved_at_once(vm, ada, worker, cloud):
    cloud.set_phase(vm.cloud_ref, VmPhase.STOPPED)
    vm.move(VmState.UNKNOWN)
    actions.save(vm, IMAGE, by=ada)
    assert VM.objects.get(pk=vm.pk).state == VmState.EPILOG
    worker.run()
    assert ended(vm).saving.state == SavingState.DONE


def test_one_that_was_taken_for_halted_is_switched_off_first(vm, ada, worker, cloud):
    vm.move(VmState.UNKNOWN)
    actions.save(vm, IMAGE, by=ada)
    worker.run()
    assert ended(vm).saving.state == SavingState.DONE
    calls = cloud.world.calls
    assert calls.index("power_off_vm") < calls.index("save_root_disk")


def test_without_a_plan_the_disk_goes_as_ever(vm, ada, worker, cloud):
    actions.shut_down(vm, by=ada)
    worker.run()
    assert VM.objects.get(pk=vm.pk).state == VmState.DONE
    assert "save_root_disk" not in cloud.world.calls


def test_a_plan_can_be_changed_and_called_off(vm, ada, worker, cloud):
    actions.plan_saving(vm, IMAGE, by=ada)
    other = with_(title="Other")
    assert actions.plan_saving(vm, other, by=ada).title == "Other"
    assert Saving.objects.count() == 1
    actions.drop_saving(vm, by=ada)
    with pytest.raises(Refused, match="Nobody has said yet"):
        actions.save(vm, None, by=ada)
    actions.shut_down(vm, by=ada)
    worker.run()
    assert "save_root_disk" not in cloud.world.calls
    assert (ended(vm).state, ended(vm).saving.state) == (VmState.DONE, SavingState.DROPPED)


def test_nobody_else_saves_it(vm, ada):
    admin = UserFactory(admin=True)
    for ask in (
        lambda: actions.save(vm, IMAGE, by=admin),
        lambda: actions.plan_saving(vm, IMAGE, by=UserFactory()),
        lambda: actions.drop_saving(vm, by=admin),
    ):
        with pytest.raises(Refused, match="signed in their name") as refused:
            ask()
        assert refused.value.code == "not_yours"
    with (
        called(Caller(administrator=admin.pk, acts_as=ada.pk)),
        pytest.raises(Refused, match="signed in their name"),
    ):
        actions.save(vm, IMAGE, by=ada)


def test_a_full_quota_of_images_is_said_before_the_guest_is_asked(vm, ada):
    ada.quota_images = 1
    ada.save()
    VolumeFactory(owner=ada, type=DiskType.MACHINE_IMAGE_ORIGIN)
    with pytest.raises(Refused, match="Your quota is 1 image: you hold 1") as refused:
        actions.save(vm, IMAGE, by=ada)
    assert refused.value.code == "quota_images"
    assert VM.objects.get(pk=vm.pk).state == VmState.RUNNING


def test_what_is_planned_counts(vm, ada, base):
    ada.quota_images = 1
    ada.save()
    actions.plan_saving(vm, IMAGE, by=ada)
    other = VMFactory(owner=ada, entry=base, running=True)
    with pytest.raises(Refused, match="you hold 0 and 1 to come"):
        actions.plan_saving(other, IMAGE, by=ada)


def test_a_quota_that_is_full_in_the_end_keeps_the_machine(vm, ada, worker, cloud):
    actions.save(vm, IMAGE, by=ada)
    full = VolumeFactory(owner=ada, size_bytes=100 * GIB)
    worker.run()
    vm = ended(vm)
    assert (vm.state, vm.saving.state) == (VmState.UNKNOWN, SavingState.FAILED)
    assert "Its disk was not saved as an image, and the machine keeps it." in vm.reason
    assert "Your disk quota is 100 GiB" in vm.reason
    assert vm.cloud_ref in cloud.world.vms
    Volume.objects.filter(pk=full.pk).update(state=VolumeState.DELETED)
    actions.save(vm, None, by=ada)
    worker.run()
    assert (ended(vm).state, ended(vm).saving.state) == (VmState.DONE, SavingState.DONE)


def test_a_disk_that_could_not_be_copied_keeps_the_machine(vm, ada, worker, cloud):
    actions.save(vm, IMAGE, by=ada)
    looked_at(worker, Volume.objects.filter(state=VolumeState.SAVING))
    volumes.cancel(Volume.objects.get(), by=ada)
    worker.run()
    vm = ended(vm)
    assert (vm.state, vm.saving.state) == (VmState.UNKNOWN, SavingState.FAILED)
    actions.start(vm, by=ada)
    vm = until(worker, vm, VmState.RUNNING)
    assert vm.saving.state == SavingState.PLANNED
    actions.shut_down(vm, by=ada)
    worker.run()
    assert ended(vm).saving.state == SavingState.DONE
    assert Volume.objects.filter(state=VolumeState.AVAILABLE).count() == 1


def test_a_clock_that_is_set_back_does_not_cost_the_disk(vm, ada, worker, cloud):
    actions.save(vm, IMAGE, by=ada)
    looked_at(worker, Volume.objects.filter(state=VolumeState.SAVING))
    volumes.cancel(Volume.objects.get(), by=ada)
    VM.objects.filter(pk=vm.pk).update(state_since=timezone.now() + timedelta(minutes=3))
    worker.run()
    assert ended(vm).saving.state == SavingState.FAILED
    assert ended(vm).state == VmState.UNKNOWN
    assert cloud.find_vm(vm.token) is not None


def test_a_machine_whose_image_failed_can_be_killed(vm, ada, worker):
    actions.save(vm, IMAGE, by=ada)
    VolumeFactory(owner=ada, size_bytes=100 * GIB)
    worker.run()
    vm = ended(vm)
    actions.kill(vm, by=ada)
    worker.run()
    assert (ended(vm).state, ended(vm).saving.state) == (VmState.DONE, SavingState.DROPPED)


def test_a_kill_loses_the_image_that_is_being_copied(vm, ada, worker, cloud):
    actions.save(vm, IMAGE, by=ada)
    looked_at(worker, Saving.objects.filter(state=SavingState.COPYING))
    vm = VM.objects.for_rows().get(pk=vm.pk)
    assert (vm.state, "kill" in vm.verbs) == (VmState.EPILOG, True)
    actions.kill(vm, by=ada)
    worker.run()
    vm = ended(vm)
    assert (vm.state, vm.saving.state) == (VmState.DONE, SavingState.DROPPED)
    assert vm.reason == "The image Debian with R was not saved. Its machine was killed."
    assert cloud.world.volumes == {}
    assert not Entry.objects.filter(owner=ada).exists()
    assert not OutgoingMail.objects.filter(kind__startswith="image_saved").exists()


def test_a_machine_that_ends_without_an_image_is_not_killed_twice(vm, ada, worker):
    actions.shut_down(vm, by=ada)
    VM.objects.filter(pk=vm.pk).update(state=VmState.EPILOG)
    vm = VM.objects.for_rows().get(pk=vm.pk)
    assert "kill" not in vm.verbs
    with pytest.raises(Refused, match="cannot be asked to kill"):
        actions.kill(vm, by=ada)


def test_without_a_confirmed_address_the_draft_waits(vm, ada, worker):
    ada.email_confirmed_at = None
    ada.save()
    actions.save(vm, IMAGE, by=ada)
    worker.run()
    vm = ended(vm)
    assert (vm.state, vm.saving.state, vm.saving.entry) == (VmState.DONE, SavingState.DONE, None)
    assert vm.saving.reason.startswith("It is not signed. ")
    draft = vm.saving.draft
    assert (draft.state, draft.owner, draft.sha256) == (
        DraftState.READY, ada, vm.saving.volume.sha256,
    )  # fmt: skip
    sent = delivered()
    assert "nobody has confirmed ada@example.org yet" in sent.body
    assert draft.get_absolute_url() in sent.body
    assert "is signed with your key" not in sent.body


def test_an_author_elsewhere_is_told_too_ten_times_a_day(vm, ada, worker):
    other = with_(email="b@example.org")
    actions.save(vm, other, by=ada)
    worker.run()
    told = OutgoingMail.objects.filter(kind="image_saved_author")
    assert [one.to for one in told] == ["b@example.org"]
    assert OutgoingMail.objects.get(kind="image_saved").to == "ada@example.org"
    volume = ended(vm).saving.volume
    for number in range(MOST_TO_OTHERS):
        Saving.objects.create(
            vm=VMFactory(owner=ada), title="t", author="a", email=f"x{number}@example.org",
            version="1", state=SavingState.DONE, volume=volume,
        )  # fmt: skip
    assert not _may_be_mailed(ended(vm).saving, ada)


def test_an_outage_in_the_middle_only_takes_longer(vm, ada, worker, cloud):
    actions.save(vm, IMAGE, by=ada)
    cloud.fail_next(*[CloudUnavailable("The cloud did not answer in time.")] * 30)
    worker.run()
    assert ended(vm).saving.state == SavingState.DONE
    assert Volume.objects.count() == Draft.objects.count() == 1
    assert OutgoingMail.objects.filter(kind="image_saved").count() == 1


def test_a_machine_that_is_not_removed_in_time_fails(vm, ada, worker, cloud):
    actions.kill(vm, by=ada)
    cloud.fail_next(*[CloudUnavailable("The cloud did not answer in time.")] * 400)
    worker.run(hours=0.15)
    vm.refresh_from_db()
    assert vm.state == VmState.FAILED
    assert vm.reason.startswith("It was not removed within 5 minutes. Kill it again.")


def test_the_same_bytes_saved_twice_are_two_words_of_one_endorser(ada, base, cloud, worker):
    cloud.put_image(base.identifier, size_bytes=MIB)
    for vm in [running(ada, base, cloud) for _ in range(2)]:
        actions.save(vm, IMAGE, by=ada)
    worker.run()
    entries = Entry.objects.filter(owner=ada)
    assert entries.count() == 2
    assert entries.values("identifier").distinct().count() == 1
    assert entries.filter(is_latest=True).count() == 1
