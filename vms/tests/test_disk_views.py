"""The pages that give disks to machines and take them back."""

import pytest
from django.urls import reverse
from django.utils import timezone

from core.models import Event, Outcome
from registration.tests.factories import UserFactory
from vms.models import VM
from vms.states import VmState
from vms.tests.factories import VMFactory
from volumes import plugged
from volumes.models import Attachment, DiskType, VolumeSample
from volumes.states import AttachmentState, VolumeState
from volumes.tests.factories import ArrivalFactory, AttachmentFactory, VolumeFactory

pytestmark = pytest.mark.django_db

A = AttachmentState


@pytest.fixture
def alice():
    return UserFactory(username="alice")


@pytest.fixture
def browser(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def vm(alice):
    return VMFactory(owner=alice, name="box", running=True)


@pytest.fixture
def volume(alice):
    return VolumeFactory(owner=alice, tag="My results!")


def text(response):
    return response.content.decode()


# A machine's page --------------------------------------------------------------------------


def test_a_machine_shows_its_disks_with_the_lines_for_the_guest(browser, vm, volume):
    path = f"/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_{volume.token}"
    AttachmentFactory(volume=volume, vm=vm, device="/dev/sdb", stable_path=path)
    page = text(browser.get(vm.get_absolute_url()))
    assert f"mkfs.ext4 {path}" in page
    assert f"mount {path} /mnt/my-results" in page
    assert "umount /mnt/my-results" in page
    assert "Formatting erases everything on the disk." in page
    assert "/dev/sdb" in page
    assert reverse("vms:disks", args=[vm.uuid]) in page


def test_lines_for_a_disk_that_is_only_read_neither_format_nor_write(vm, alice):
    volume = VolumeFactory(owner=alice, type=DiskType.DATA_IMAGE_RAW_READONLY, tag="")
    ArrivalFactory(volume=volume, label="GENOMES 38")
    row = AttachmentFactory(volume=volume, vm=vm, read_only=True, stable_path="/dev/x")
    (plug,) = plugged.in_machine(vm, alice)
    assert plug.lines.make == ""
    folder = f"/mnt/disk-{volume.token[:8]}"
    sudo = "" if row.vm.login == "root" else "sudo "
    assert plug.lines.mount == f"{sudo}mount -o ro /dev/x {folder}"
    assert plug.lines.label == f"{sudo}mount -o ro -L 'GENOMES 38' {folder}"


def test_formatting_is_offered_for_the_first_use_only(vm, alice, volume):
    AttachmentFactory(volume=volume, vm=VMFactory(owner=alice), state=A.DETACHED,
                      attached_at=timezone.now())  # fmt: skip
    AttachmentFactory(volume=volume, vm=vm)
    assert not plugged.in_machine(vm, alice)[0].is_first_use
    AttachmentFactory(volume__owner=alice, vm=vm)
    assert plugged.in_machine(vm, alice)[1].is_first_use
    fresh = plugged.in_machine(vm, alice)[1].row
    VolumeSample.objects.create(attachment=fresh, at=timezone.now(), read_bytes=0, write_bytes=1)
    assert not plugged.in_machine(vm, alice)[1].is_first_use


def test_a_guest_that_keeps_a_disk_is_asked_again_or_forced(browser, vm, volume):
    reason = "The guest did not let go of it within 30 seconds."
    AttachmentFactory(volume=volume, vm=vm, reason=reason)
    page = text(browser.get(vm.get_absolute_url()))
    assert reason in page
    assert "Try again" in page
    assert 'name="force"' in page
    assert "what the guest has not written yet is lost" in page


def test_an_attach_that_came_to_nothing_is_told_for_an_hour(browser, vm, volume):
    AttachmentFactory(volume=volume, vm=vm, state=A.DETACHED, attached_at=None,
                      detached_at=timezone.now(), reason="There was no room.")  # fmt: skip
    page = text(browser.get(vm.get_absolute_url()))
    assert "was not attached" in page
    assert "There was no room." in page


def test_a_disk_that_its_machine_boots_from_says_why_it_stays(browser, vm, alice):
    root = VolumeFactory(owner=alice, type=DiskType.MACHINE_IMAGE_LIVE)
    row = AttachmentFactory(volume=root, vm=vm, is_root=True)
    page = text(browser.get(vm.get_absolute_url()))
    assert "The machine runs from it" in page
    assert reverse("vms:detach_disk", args=[row.uuid]) not in page


# Choosing ----------------------------------------------------------------------------------


def test_several_disks_are_attached_at_once_each_its_own_way(browser, vm, volume, alice):
    other = VolumeFactory(owner=alice)
    answer = browser.post(
        reverse("vms:disks", args=[vm.uuid]),
        {"disk": [volume.token, other.token], f"mode-{other.uuid}": "read"},
    )
    assert (answer.status_code, answer.url) == (302, f"{vm.get_absolute_url()}#disks")
    modes = dict(Attachment.objects.values_list("volume", "read_only"))
    assert modes == {volume.pk: False, other.pk: True}


def test_all_of_them_read_only(browser, vm, volume):
    browser.post(
        reverse("vms:disks", args=[vm.uuid]), {"disk": [volume.token], "all_read_only": "on"}
    )
    assert Attachment.objects.get().read_only


def test_disks_that_cannot_be_attached_say_why(browser, vm, alice):
    taken = AttachmentFactory(volume__owner=alice, vm=VMFactory(owner=alice, name="other-box"))
    VolumeFactory(owner=alice, state=VolumeState.IN_USE)
    public = VolumeFactory(public=True)
    VolumeFactory(tag="hidden-from-alice")
    answer = browser.get(reverse("vms:disks", args=[vm.uuid]))
    reasons = {choice.volume: choice for choice in answer.context["choices"]}
    assert "other-box" in reasons[taken.volume].write
    assert "other-box" in text(answer)
    assert (reasons[public].read, reasons[public].write != "") == ("", True)
    assert "hidden-from-alice" not in text(answer)


def test_the_list_is_searched_and_ones_own_come_first(browser, vm, volume, alice):
    VolumeFactory(public=True, tag="a public one")
    answer = browser.get(reverse("vms:disks", args=[vm.uuid]))
    assert answer.context["choices"][0].volume == volume
    answer = browser.get(reverse("vms:disks", args=[vm.uuid]), {"q": "public"})
    assert [choice.volume.tag for choice in answer.context["choices"]] == ["a public one"]
    assert "No disks match" in text(
        browser.get(reverse("vms:disks", args=[vm.uuid]), {"q": "nothing like it"})
    )


def test_what_is_refused_stands_on_the_page(browser, vm, alice):
    gone = VolumeFactory(owner=alice, state=VolumeState.BINNED)
    answer = browser.post(reverse("vms:disks", args=[vm.uuid]), {"disk": [gone.token]})
    assert answer.status_code == 422
    assert "In the bin" in text(answer)
    answer = browser.post(reverse("vms:disks", args=[vm.uuid]), {})
    assert (answer.status_code, "Choose one disk or more." in text(answer)) == (422, True)
    answer = browser.post(reverse("vms:disks", args=[vm.uuid]), {"disk": ["nonsense"]})
    assert answer.status_code == 422


def test_a_machine_that_takes_none_says_so_instead_of_a_form(browser, vm):
    VM.objects.update(state=VmState.BOOT)
    page = text(browser.get(reverse("vms:disks", args=[vm.uuid])))
    assert "Attach the disk once it runs." in page
    assert 'type="checkbox"' not in page


def test_a_machine_is_chosen_for_a_disk(browser, vm, volume, alice):
    waiting = VMFactory(owner=alice, name="waiting-box")
    url = reverse("vms:attach_disk", args=[volume.uuid])
    page = browser.get(url)
    assert page.context["chosen_vm"] == vm.token  # the only one that can
    assert "waiting-box" in text(page)
    answer = browser.post(url, {"vm": vm.token, "mode": "read"})
    assert answer.status_code == 302
    assert Attachment.objects.get().read_only
    answer = browser.post(url, {"vm": waiting.token, "mode": "read"})
    assert (answer.status_code, "Pending" in text(answer)) == (422, True)
    assert browser.post(url, {"vm": VMFactory().token, "mode": "read"}).status_code == 422
    assert browser.post(url, {}).status_code == 422


def test_a_disk_that_cannot_be_attached_says_so_instead_of_a_form(browser, alice):
    taken = AttachmentFactory(volume__owner=alice)
    page = text(browser.get(reverse("vms:attach_disk", args=[taken.volume.uuid])))
    assert "It cannot be attached now" in page
    assert 'type="radio"' not in page


# Detaching ---------------------------------------------------------------------------------


def test_one_is_detached_and_the_page_is_the_one_before(browser, vm, volume):
    row = AttachmentFactory(volume=volume, vm=vm)
    answer = browser.post(
        reverse("vms:detach_disk", args=[row.uuid]), {"next": volume.get_absolute_url()}
    )
    assert answer.url == volume.get_absolute_url()
    row.refresh_from_db()
    assert (row.state, row.is_forced) == (A.DETACHING, False)
    answer = browser.post(
        reverse("vms:detach_disk", args=[row.uuid]), {"force": "1", "next": "https://evil.example"}
    )
    assert answer.url == f"{vm.get_absolute_url()}#disks"
    row.refresh_from_db()
    assert row.is_forced


def test_several_are_detached_at_once(browser, vm, alice):
    rows = [AttachmentFactory(volume__owner=alice, vm=vm) for _ in range(2)]
    stranger = AttachmentFactory()
    plugs = [row.token for row in (*rows, stranger)]
    browser.post(reverse("vms:detach_disks"), {"plug": plugs, "next": vm.get_absolute_url()})
    assert Attachment.objects.filter(state=A.DETACHING).count() == 2
    stranger.refresh_from_db()
    assert stranger.state == A.ATTACHED


def test_strangers_find_nothing_and_the_audit_is_told(browser, vm, volume):
    hidden = AttachmentFactory()
    for url, method, verb in (
        (reverse("vms:disks", args=[hidden.vm.uuid]), "post", "attach"),
        (reverse("vms:attach_disk", args=[hidden.volume.uuid]), "post", "attach"),
        (reverse("vms:detach_disk", args=[hidden.uuid]), "post", "detach"),
        (reverse("volumes:usage", args=[hidden.volume.uuid]), "get", "opened"),
    ):
        assert getattr(browser, method)(url).status_code == 404
        assert Event.objects.filter(outcome=Outcome.DENIED, verb=verb).exists()


# A disk's page -----------------------------------------------------------------------------


def test_a_disk_names_its_machines_as_far_as_one_may_know(client, browser, alice):
    bob = UserFactory(username="bob")
    volume = VolumeFactory(owner=alice, public=True, state=VolumeState.IN_USE)
    AttachmentFactory(volume=volume, vm=VMFactory(owner=bob, name="bobs-box", running=True),
                      read_only=True)  # fmt: skip
    AttachmentFactory(volume=volume, vm=VMFactory(owner=alice, name="my-box", running=True),
                      read_only=True)  # fmt: skip
    page = text(browser.get(volume.get_absolute_url()))
    assert "my-box" in page
    assert "a machine of bob" in page
    assert "bobs-box" not in page
    client.force_login(bob)
    page = text(client.get(volume.get_absolute_url()))
    assert "bobs-box" in page
    assert "my-box" not in page
    assert "1 machine of other people has it" in page


def test_the_plot_is_fed(browser, alice):
    row = AttachmentFactory(volume__owner=alice)
    VolumeSample.objects.create(attachment=row, at=timezone.now(), read_bytes=1, write_bytes=1)
    answer = browser.get(reverse("volumes:usage", args=[row.volume.uuid])).json()
    assert (len(answer["at"]), answer["disk_read_bps"]) == (1, [None])


def test_disks_of_one_tag_are_mounted_in_folders_of_their_own(vm, alice):
    first, second = (VolumeFactory(owner=alice, tag="My data") for _ in range(2))
    for disk in (first, second, VolumeFactory(owner=alice, tag="other")):
        AttachmentFactory(volume=disk, vm=vm)
    folders = [plug.lines.mount.rpartition(" ")[2] for plug in plugged.in_machine(vm, alice)]
    ends = [disk.token[:4] for disk in (first, second)]
    assert folders == [f"/mnt/my-data-{ends[0]}", f"/mnt/my-data-{ends[1]}", "/mnt/other"]
    (alone,) = plugged.of_disk(second, alice)
    assert alone.lines.unmount.endswith(f"/mnt/my-data-{ends[1]}")


def test_several_disks_are_chosen_on_a_machines_page_to_be_detached(browser, vm, alice):
    rows = [AttachmentFactory(volume__owner=alice, vm=vm) for _ in range(2)]
    root = AttachmentFactory(volume__owner=alice, vm=vm, is_root=True)
    page = text(browser.get(vm.get_absolute_url()))
    assert "Detach several at once" in page
    assert all(f'name="plug" value="{row.uuid}"' in page for row in rows)
    assert f'name="plug" value="{root.uuid}"' not in page


def test_one_disk_is_detached_by_its_own_button_alone(browser, vm, alice):
    AttachmentFactory(volume__owner=alice, vm=vm)
    assert "Detach several at once" not in text(browser.get(vm.get_absolute_url()))


def test_volatile_disks_are_shown_with_the_paths_that_the_engine_told(browser, vm):
    path = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_volatile-1"
    VM.objects.filter(pk=vm.pk).update(
        volatile_gib=[5], attributes={"volatile disk 1": f"/dev/sda, {path}"}
    )
    assert f"mkfs.ext4 {path}" in text(browser.get(vm.get_absolute_url()))
    VM.objects.filter(pk=vm.pk).update(attributes={})
    assert "<code>lsblk</code> shows each by its size" in text(browser.get(vm.get_absolute_url()))


def test_disks_of_one_tag_are_told_apart_by_uuid_and_age_where_they_are_chosen(browser, vm, alice):
    disks = [VolumeFactory(owner=alice, tag="small") for _ in range(2)]
    page = text(browser.get(reverse("vms:disks", args=[vm.uuid])))
    assert all(f"{disk.token[:8]} · made" in page for disk in disks)
