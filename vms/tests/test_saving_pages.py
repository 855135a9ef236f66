"""Pages and programs that make images of machines."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from marketplace.tests.factories import EntryFactory
from registration.tests.factories import UserFactory
from vms import actions
from vms.actions import Image
from vms.models import VM, InstanceType, Saving
from vms.states import SavingState, VmState
from vms.tests.factories import VMFactory
from volumes.models import DiskType, Origin
from volumes.states import VolumeState
from volumes.tests.factories import VolumeFactory

pytestmark = pytest.mark.django_db
IMAGE = Image(
    title="Debian <R>", comment="Has R.", author="Ada Lovelace", email="ada@example.org",
    version="1.3",
)  # fmt: skip
SAID = {"title": "Debian with R", "comment": "Has R.", "author": "Ada", "email": "a@example.org",
        "version": "2.0"}  # fmt: skip


@pytest.fixture
def ada(client):
    ada = UserFactory(
        username="ada", given_name="Ada", family_name="Lovelace", email="ada@example.org",
        email_confirmed_at=timezone.now(), state="active",
    )  # fmt: skip
    client.force_login(ada)
    return ada


@pytest.fixture
def vm(ada):
    entry = EntryFactory(version="1.2", virtual_size_bytes=1 << 21)
    return VMFactory(owner=ada, entry=entry, running=True)


def text(answer) -> str:
    return answer.content.decode()


def saving_of(vm, state, **more) -> Saving:
    said = {f: getattr(IMAGE, f) for f in Image.__slots__}
    return Saving.objects.create(vm=vm, state=state, **said, **more)


def test_the_page_comes_filled_in(client, vm):
    page = text(client.get(f"/vms/{vm.uuid}/save/"))
    for value in ("Ada Lovelace", "ada@example.org", "1.3"):
        assert f'value="{value}"' in page
    assert "Shut down and save</button>" in page
    assert "2 days" in page


def test_what_lacks_something_is_said_beside_it(client, vm):
    answer = client.post(f"/vms/{vm.uuid}/save/", {**SAID, "comment": ""})
    assert answer.status_code == 422
    assert "Say what is in it, and what it is for." in text(answer)
    assert VM.objects.get(pk=vm.pk).state == VmState.RUNNING


def test_it_is_shut_down_and_saved(client, vm):
    answer = client.post(f"/vms/{vm.uuid}/save/", {**SAID, "go": "save"})
    assert answer.status_code == 302
    vm = VM.objects.for_rows().get(pk=vm.pk)
    assert (vm.state, vm.saving.title, vm.saving.state) == (
        VmState.SHUTDOWN, "Debian with R", SavingState.PLANNED,
    )  # fmt: skip
    page = text(client.get(vm.get_absolute_url()))
    assert "To be saved as an image" in page
    assert "Switch off and save" in page


def test_it_is_only_planned_changed_and_called_off(client, vm):
    client.post(f"/vms/{vm.uuid}/save/", {**SAID, "go": "plan"})
    assert VM.objects.get(pk=vm.pk).state == VmState.RUNNING
    assert 'value="2.0"' in text(client.get(f"/vms/{vm.uuid}/save/"))
    page = text(client.get(vm.get_absolute_url()))
    assert "Then its disk becomes the image Debian with R, and the machine ends." in page
    assert "The image Debian with R is lost" in page
    client.post(f"/vms/{vm.uuid}/save/drop/")
    assert Saving.objects.get().state == SavingState.DROPPED
    assert "To be saved" not in text(client.get(vm.get_absolute_url()))


def test_a_refusal_stands_on_the_page(client, vm, ada):
    ada.quota_images = 0
    ada.save()
    answer = client.post(f"/vms/{vm.uuid}/save/", {**SAID, "go": "save"})
    assert answer.status_code == 422
    assert "Your quota is 0 images" in text(answer)


def test_a_guest_that_ignored_its_button_is_switched_off_on_request(client, vm):
    saving_of(vm, SavingState.PLANNED)
    reason = "The guest ignored the power button for 2 minutes and goes on running."
    VM.objects.filter(pk=vm.pk).update(reason=reason)
    page = text(client.get(vm.get_absolute_url()))
    assert "Switch off and save" in page
    assert "is not in the image Debian &lt;R&gt;" in page
    client.post(f"/vms/{vm.uuid}/power-off/")
    vm.refresh_from_db()
    assert (vm.state, vm.asked) == (VmState.SHUTDOWN, "power_off")


def test_strangers_and_administrators_find_no_page(client, vm):
    for user in (UserFactory(), UserFactory(admin=True)):
        client.force_login(user)
        assert client.get(f"/vms/{vm.uuid}/save/").status_code == 404
        for path in ("save/", "save/drop/", "save/planned/", "power-off/"):
            assert client.post(f"/vms/{vm.uuid}/{path}").status_code == 404


def test_while_it_is_copied_the_page_shows_bytes_and_a_kill_names_the_image(client, vm, ada):
    VM.objects.filter(pk=vm.pk).update(state=VmState.RUNNING)
    actions.plan_saving(vm, IMAGE, by=ada)
    vm.refresh_from_db()
    vm.move(VmState.SHUTDOWN)
    vm.move(VmState.EPILOG)
    volume = VolumeFactory(
        owner=ada, state=VolumeState.SAVING, type=DiskType.MACHINE_IMAGE_ORIGIN,
        origin=Origin.SAVED, bytes_done=1 << 20, bytes_total=2 << 20,
    )  # fmt: skip
    Saving.objects.get().move(SavingState.COPYING, volume=volume)
    page = text(client.get(vm.get_absolute_url()))
    assert "1 MiB of 2 MiB" in page
    assert "Copy the disk, and compute its checksums" in page
    assert re.search(r"The image Debian &lt;R&gt; is lost", page)
    assert "Kill" in page
    row = text(client.get(f"/vms/{vm.uuid}/row/"))
    assert "The image Debian &lt;R&gt; is lost" in row


def test_when_it_is_done_the_page_leads_on(client, vm, ada):
    actions.plan_saving(vm, IMAGE, by=ada)
    vm.refresh_from_db()
    for state in (VmState.SHUTDOWN, VmState.EPILOG):
        vm.move(state)
    volume = VolumeFactory(owner=ada, sha1="0" * 40, identifier="A" * 27)
    entry = EntryFactory(owner=ada, endorser_email="ada@example.org")
    saving = Saving.objects.get()
    saving.move(SavingState.COPYING, volume=volume)
    saving.move(SavingState.SIGNING)
    saving.move(SavingState.DONE, entry=entry)
    vm.move(VmState.DONE)
    page = text(client.get(vm.get_absolute_url()))
    assert "Saved as an image" in page
    assert volume.get_absolute_url() in page
    assert entry.permalink in page
    assert f"?image={entry.identifier}&amp;entry={entry.uuid}" in page
    for step in ("Write its metadata", "Sign them with your key", "Publish them to you alone"):
        assert step in page


def test_pages_ask_as_often_whatever_is_saved(client, ada):
    entry = EntryFactory()

    def count(path) -> int:
        client.get(path)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(path).status_code == 200
        return len(queries)

    VMFactory(owner=ada, entry=entry, state=VmState.EPILOG)
    few = count("/vms/")
    for _ in range(5):
        saving_of(VMFactory(owner=ada, entry=entry, state=VmState.EPILOG), SavingState.COPYING)
    assert count("/vms/") == few


def test_the_launch_page_plans_an_image(client, ada):
    InstanceType.objects.update(is_offered=True)
    entry = EntryFactory(version="1.2")
    path = f"/vms/launch/?image={entry.identifier}"
    page = text(client.get(path))
    assert "Save as image" in page
    assert 'value="1.3"' in page
    size = InstanceType.objects.filter(is_default=True).first() or InstanceType.objects.first()
    key = re.search(r'name="launch_key" value="([^"]+)"', page)
    answers = {
        "launch_key": key[1], "name": "m", "type_name": size.name, "without_key": "on",
        "count": "1", "context_method": "cloud-init", "save_image": "on",
        "image_title": "Mine", "image_author": "Ada", "image_email": "ada@example.org",
        "image_version": "1.3", "until": "",
    }  # fmt: skip
    answer = client.post(path, answers)
    assert answer.status_code == 422
    assert "With “Make an image”, give a comment too." in text(answer)
    answer = client.post(path, {**answers, "image_comment": "What is in it."})
    assert answer.status_code == 302, text(answer)
    assert Saving.objects.get().title == "Mine"
