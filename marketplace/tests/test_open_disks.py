"""A disk that machines boot from goes to everybody no sooner than its entry would."""

import html
import re
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from core.errors import Refused
from marketplace import actions
from marketplace.models import Draft, Entry, Inspection
from marketplace.states import InspectionState
from marketplace.tests.drafting import endorser
from marketplace.tests.test_inspection_pages import finding
from marketplace.tests.test_registering import sent, uploaded
from registration.tests.factories import UserFactory
from volumes import actions as volumes
from volumes.actions.fetches import Wanted
from volumes.models import DiskType, Visibility, Volume
from volumes.states import VolumeState
from volumes.tests.factories import AttachmentFactory, SnapshotFactory, VolumeFactory

pytestmark = pytest.mark.django_db

LIVE, ORIGINAL, DATA = (
    DiskType.MACHINE_IMAGE_LIVE,
    DiskType.MACHINE_IMAGE_ORIGIN,
    DiskType.DATA_IMAGE_RAW_READ_WRITE,
)
PUBLIC = {"visibility": "public"}
SECRET = [finding("/root/.ssh/id_rsa")]


def refusal(call, *args, **kwargs) -> Refused:
    with pytest.raises(Refused) as refused:
        call(*args, **kwargs)
    return refused.value


def change(disk: Volume, **wanted) -> str:
    """What it is refused with, or ""."""
    try:
        volumes.change(disk, by=disk.owner, **wanted)
    except Refused as refused:
        return refused.code
    return ""


def reported(disk: Volume, *, findings=(), **report) -> Inspection:
    """As if the portal had looked into it, just now."""
    actions.inspect(disk)
    Inspection.objects.filter(volume=disk).update(
        state=InspectionState.READY, state_since=timezone.now(), next_tick_at=None,
        report={"findings": list(findings), "unread": [], "is_read": True, **report},
    )  # fmt: skip
    return Inspection.objects.get(volume=disk)


def is_open(disk: Volume) -> bool:
    disk.refresh_from_db()
    return disk.is_open_image


@pytest.fixture
def disk() -> Volume:
    return VolumeFactory(type=LIVE, tag="compute")


class TestMadePublic:
    @pytest.mark.parametrize("kind", [LIVE, ORIGINAL])
    def test_what_nobody_has_looked_into_stays_private_and_is_looked_into(self, kind):
        disk = VolumeFactory(type=kind)
        refused = refusal(volumes.change, disk, by=disk.owner, **PUBLIC)
        assert (refused.code, refused.field) == ("hygiene_unread", "visibility")
        assert "Wait for its report" in str(refused)
        assert Inspection.objects.get(volume=disk).is_moving
        assert not is_open(disk)

    def test_what_was_found_must_have_been_read(self, disk):
        reported(disk, findings=SECRET)
        refused = refusal(volumes.change, disk, by=disk.owner, **PUBLIC)
        assert (refused.code, refused.field) == ("hygiene_found", "knows")
        assert change(disk, **PUBLIC, knows=True) == ""
        assert is_open(disk)

    def test_a_clean_one_is_made_public_without_more(self, disk):
        reported(disk)
        assert change(disk, **PUBLIC) == ""
        assert is_open(disk)

    @pytest.mark.parametrize("kind", [LIVE, ORIGINAL])
    def test_a_public_data_disk_becomes_no_machine_image_unread(self, kind):
        disk = VolumeFactory(type=DATA, public=True)
        refused = refusal(volumes.change, disk, by=disk.owner, type=kind)
        assert (refused.code, refused.field) == ("hygiene_unread", "type")
        reported(disk)
        assert change(disk, type=kind) == ""

    def test_both_at_once_are_one_door(self):
        disk = VolumeFactory(type=DATA)
        assert change(disk, type=LIVE, **PUBLIC) == "hygiene_unread"

    def test_data_go_to_everybody_as_before(self):
        disk = VolumeFactory(type=DATA)
        assert change(disk, **PUBLIC) == ""
        assert not Inspection.objects.exists()

    def test_what_everybody_has_already_is_asked_nothing(self):
        disk = VolumeFactory(type=LIVE, public=True)
        assert change(disk, tag="renamed") == ""
        assert change(disk, type=ORIGINAL) == ""
        assert change(disk, visibility="private") == ""
        assert change(disk, **PUBLIC) == "hygiene_unread"

    def test_not_while_its_bytes_come_in(self):
        disk = VolumeFactory(type=LIVE, state=VolumeState.COPYING)
        assert change(disk, **PUBLIC) == "disk_state"
        assert not Inspection.objects.exists()

    def test_not_while_a_machine_writes_to_it(self, disk):
        reported(disk)
        AttachmentFactory(volume=disk, is_root=True)
        Volume.objects.update(state=VolumeState.IN_USE)
        disk.refresh_from_db()
        assert change(disk, **PUBLIC) == "disk_written"

    @pytest.mark.parametrize("what", ["machine", "snapshot"])
    def test_a_report_of_what_was_there_before_counts_no_more(self, disk, what):
        reported(disk)
        if what == "machine":
            AttachmentFactory(
                volume=disk, state="detached", state_since=timezone.now(), is_root=True
            )
        else:
            disk.record_event("restore_snapshot", by=disk.owner)
        assert change(disk, **PUBLIC) == "hygiene_unread"
        assert Inspection.objects.get(volume=disk).is_moving

    def test_somebody_else_asks_no_gate(self, disk):
        refused = refusal(volumes.change, disk, by=UserFactory(), **PUBLIC)
        assert refused.code == "not_yours"
        assert not Inspection.objects.exists()

    def test_what_is_asked_about_another_disk_than_there_is_is_refused(self):
        """Two tabs: in one the type is changed, in the other it is made public."""
        disk = VolumeFactory(type=DATA)
        Volume.objects.filter(pk=disk.pk).update(type=LIVE)
        refused = refusal(volumes.change, disk, by=disk.owner, **PUBLIC)
        assert refused.code == "disk_changed"
        assert "meanwhile" in str(refused)
        assert not is_open(disk)


class TestOnceEverybodyHasIt:
    """What nobody has read does not come into it later either."""

    @pytest.fixture
    def disk(self) -> Volume:
        return VolumeFactory(type=LIVE, public=True)

    def test_no_machine_boots_from_it(self, disk):
        vm = AttachmentFactory(vm__owner=disk.owner).vm
        wanted = {"by": disk.owner, "read_only": False, "is_root": True}
        refused = refusal(volumes.plan, disk, vm, **wanted)
        assert refused.code == "disk_open"
        assert "make it private" in str(refused)
        assert change(disk, visibility="private") == ""
        volumes.plan(disk, vm, **wanted)

    def test_it_goes_back_to_no_snapshot(self, disk):
        snapshot = SnapshotFactory(volume=disk)
        refused = refusal(volumes.restore_snapshot, snapshot, by=disk.owner, typed=snapshot.name)
        assert refused.code == "disk_open"

    def test_its_page_says_so_where_the_button_would_be(self, disk, client):
        client.force_login(disk.owner)
        page = html.unescape(client.get(disk.get_absolute_url()).content.decode())
        assert "make it private before it changes, or use a copy" in page
        assert f"/vms/launch/?disk={disk.uuid}" not in page

    def test_a_copy_of_it_is_its_makers_alone(self, disk):
        made = volumes.copy(disk, by=disk.owner, create_key=uuid4(), as_original=True)
        assert (made.visibility, made.type) == (Visibility.PRIVATE, ORIGINAL)


class TestWhereAdministratorsAreAsked:
    @pytest.fixture(autouse=True)
    def asking(self, settings):
        settings.PORTAL_PUBLISH_APPROVAL = True

    def test_a_disk_is_published_as_an_entry(self, disk):
        reported(disk)
        refused = refusal(volumes.change, disk, by=disk.owner, **PUBLIC, knows=True)
        assert (refused.code, refused.field) == ("approval_needed", "visibility")
        assert "publish it as an image in the Marketplace" in str(refused)
        assert not is_open(disk)

    def test_administrators_ask_nobody_but_read_the_report(self):
        disk = VolumeFactory(type=LIVE, owner=UserFactory(admin=True))
        assert change(disk, **PUBLIC) == "hygiene_unread"
        reported(disk)
        assert change(disk, **PUBLIC) == ""

    def test_the_page_leads_there(self, disk, client):
        client.force_login(disk.owner)
        page = client.get(reverse("volumes:change", args=[disk.uuid])).content.decode()
        assert f"{reverse('marketplace:build')}?disk={disk.uuid}" in page

    def test_what_comes_in_is_told_the_same_way(self, disk):
        parcel = volumes.Parcel(length=512, visibility="public", type=LIVE)
        refused = refusal(volumes.begin_upload, owner=disk.owner, parcel=parcel)
        assert refused.code == "public_image"
        assert "an administrator is asked" in str(refused)


class TestComingIn:
    """Nobody has looked into what is not here yet."""

    @pytest.mark.parametrize("kind", [LIVE, ORIGINAL])
    def test_neither_upload_nor_fetch_begins(self, kind):
        alice = UserFactory()
        parcel = volumes.Parcel(length=512, visibility="public", type=kind)
        wanted = Wanted(url="https://example.org/a.img", visibility="public", type=kind)
        for refused in (
            refusal(volumes.begin_upload, owner=alice, parcel=parcel),
            refusal(volumes.fetch, owner=alice, wanted=wanted),
        ):
            assert (refused.code, refused.field) == ("public_image", "visibility")
            assert "make it public on its page" in str(refused)
        assert not Volume.objects.exists()

    def test_public_data_come_in_as_before(self):
        parcel = volumes.Parcel(length=512, visibility="public", type=DATA)
        assert volumes.begin_upload(owner=UserFactory(), parcel=parcel).visibility == "public"

    def test_the_page_says_it_beside_the_choice(self, client):
        client.force_login(UserFactory())
        form = {"create_key": uuid4(), "url": "https://example.org/a.img", "type": LIVE}
        answer = client.post(reverse("volumes:fetch"), {**form, **PUBLIC})
        assert answer.status_code == 422
        assert "comes in for you alone" in answer.context["form"].errors["visibility"][0]


class TestOnThePageOfAChange:
    FORM = {"tag": "compute", "visibility": "public", "type": LIVE}

    def send(self, client, disk, **more):
        client.force_login(disk.owner)
        return client.post(reverse("volumes:change", args=[disk.uuid]), {**self.FORM, **more})

    def test_the_tick_is_there_once_there_is_something_to_read(self, disk, client):
        page = self.send(client, disk).content.decode()
        assert "comes in a moment" in page
        assert 'name="knows"' not in page
        report = reported(disk, findings=SECRET)
        answer = self.send(client, disk)
        assert answer.status_code == 422
        page = answer.content.decode()
        assert re.search(r'<input[^>]*name="knows"[^>]*>', page)
        assert report.get_absolute_url() in page
        assert self.send(client, disk, knows="on").status_code == 302
        assert is_open(disk)

    def test_a_clean_disk_needs_no_tick(self, disk, client):
        reported(disk)
        client.force_login(disk.owner)
        page = client.get(reverse("volumes:change", args=[disk.uuid])).content.decode()
        assert 'name="knows"' not in page
        assert self.send(client, disk).status_code == 302
        assert is_open(disk)

    def test_what_is_public_is_asked_nothing(self, client):
        disk = VolumeFactory(type=LIVE, public=True)
        reported(disk, findings=SECRET)
        client.force_login(disk.owner)
        page = client.get(reverse("volumes:change", args=[disk.uuid])).content.decode()
        assert 'name="knows"' not in page
        assert self.send(client, disk).status_code == 302


@pytest.mark.slow
@pytest.mark.usefixtures("quick_keys")
class TestByItsEntry:
    """A disk that is public becomes a machine image by being published, for whomever."""

    def test_many_in_one_go_are_looked_into_first(self, client):
        ada = endorser(quota_images=20)
        actions.new_key(ada, ada)
        client.force_login(ada)
        disk = uploaded(ada, "one", visibility="public")
        answer = client.post("/marketplace/register/", sent(disk))
        assert "The disk itself is public." in html.unescape(answer.content.decode())
        assert not Entry.objects.exists()
        assert not Draft.objects.exists()
        assert Inspection.objects.get(volume=disk).is_moving
        reported(disk)
        client.post("/marketplace/register/", sent(disk))
        assert Entry.objects.get().visibility == "private"
        assert is_open(disk)
