"""Many disks become images in one go; and an image goes, with its disk and its copies."""

import hashlib
from uuid import uuid4

import pytest
from django.utils import timezone

from core.errors import Refused
from marketplace import actions
from marketplace.models import Draft, Entry, ImageFile
from marketplace.states import EntryStatus, ImageState, Trust, Visibility
from marketplace.tests.drafting import endorser
from marketplace.tests.factories import EntryFactory
from registration.tests.factories import UserFactory
from volumes.models import DiskType, Volume
from volumes.states import VolumeState
from volumes.tests.factories import ArrivalFactory, VolumeFactory

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.slow,
    pytest.mark.usefixtures("quick_keys"),
]


@pytest.fixture
def ada(client):
    user = endorser(quota_images=20)
    actions.new_key(user, user)
    client.force_login(user)
    return user


def uploaded(owner, tag, content=None, **more):
    """A disk that came in as a raw file, with its checksums."""
    content = content or tag.encode().ljust(512, b".")
    sums = {name: hashlib.new(name, content).hexdigest() for name in ("sha1", "sha256", "sha512")}
    size = {"size_bytes": len(content), "content_bytes": len(content)}
    disk = VolumeFactory(owner=owner, tag=tag, origin="uploaded", **{**size, **sums, **more})
    ArrivalFactory(volume=disk, format="raw")
    return disk


def sent(*disks, keys=None, **more):
    """The page's answers for these disks."""
    valid = (timezone.now() + timezone.timedelta(days=90)).date().isoformat()
    form = {"disk": [disk.uuid for disk in disks], "valid": valid, "default_user": "root",
            "description": "Ours.", "creator": "Ada"}  # fmt: skip
    for disk in disks:
        row = {"create_key": (keys or {}).get(disk.pk) or uuid4(), "title": disk.tag,
               "version": "1.0", "os": "Debian", "os_arch": "x86_64"}  # fmt: skip
        form |= {f"{disk.token[:8]}-{name}": value for name, value in row.items()}
    return {**form, **more}


URL = "/marketplace/register/"


def test_several_disks_become_private_signed_images_in_one_go(client, ada):
    disks = [uploaded(ada, "one"), uploaded(ada, "two")]
    page = client.get(URL, {"disk": [disk.uuid for disk in disks]}).content.decode()
    assert page.count("signed at once") == 2
    client.post(URL, sent(*disks))
    entries = list(Entry.objects.order_by("title"))
    assert [(entry.title, entry.visibility) for entry in entries] == [
        ("one", Visibility.PRIVATE), ("two", Visibility.PRIVATE),
    ]  # fmt: skip
    assert {entry.trust for entry in entries} <= {Trust.UNTRUSTED, Trust.TRUSTED}
    assert {disk.type for disk in Volume.objects.all()} == {DiskType.MACHINE_IMAGE_ORIGIN}


def test_sent_twice_it_is_one_image(client, ada):
    disk = uploaded(ada, "one")
    form = sent(disk)
    for _ in range(2):
        client.post(URL, form)
    assert Entry.objects.count() == 1


def test_what_is_refused_stands_beside_its_disk_and_the_others_go_on(client, ada):
    disks = [uploaded(ada, "one"), uploaded(ada, "two")]
    ada.quota_images = 1
    ada.save()
    answer = client.post(URL, sent(*disks))
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "1 done." in page
    assert "Your quota is 1 image" in page
    assert Entry.objects.count() == 1


def test_a_disk_without_known_checksums_is_measured_first(client, ada):
    qcow = uploaded(ada, "packed", content_bytes=100)
    written = uploaded(ada, "written", written_at=timezone.now())
    page = client.get(URL, {"disk": [qcow.uuid, written.uuid]}).content.decode()
    assert page.count("measured first, then you sign it") == 2
    client.post(URL, sent(qcow, written))
    assert not Entry.objects.exists()
    assert {draft.fields["title"] for draft in Draft.objects.all()} == {"packed", "written"}


def test_disks_of_others_and_those_in_use_are_left_out(client, ada):
    busy, other = uploaded(ada, "busy", state=VolumeState.IN_USE), uploaded(UserFactory(), "no")
    page = client.get(URL, {"disk": [busy.uuid, other.uuid, uploaded(ada, "one").uuid]})
    assert "Make images of 1 disk" in page.content.decode()
    assert other.token not in page.content.decode()
    answer = client.post(URL, sent(other))
    assert answer.status_code == 302
    assert not Entry.objects.exists()


def test_somebody_elses_disk_is_no_image_of_ones_own(ada):
    disk = uploaded(UserFactory(), "theirs", visibility="public")
    with pytest.raises(Refused) as refused:
        actions.draft_of_disk(disk, by=ada, create_key=uuid4())
    assert refused.value.code == "not_yours"


# Gone again -------------------------------------------------------------------------------------


@pytest.fixture
def image(client, ada):
    disk = uploaded(ada, "one")
    client.post(URL, sent(disk))
    return Entry.objects.get()


def copied(entry):
    return ImageFile.objects.create(
        cloud="local", identifier=entry.identifier, entry=entry, state=ImageState.READY, ref="x"
    )


def test_an_image_is_removed_with_its_disk_and_its_copy(client, ada, image):
    copy = copied(image)
    url = f"/marketplace/entries/{image.uuid}/remove/"
    assert "Goes: the disk one" in client.get(url).content.decode()
    assert url in client.get(image.permalink).content.decode()
    client.post(url, {"reason": "Too old.", "sign_with": "portal"})
    assert Entry.objects.newest().get().status == EntryStatus.DEPRECATED
    assert Volume.objects.get().state == VolumeState.BINNED
    assert actions.evict_useless("local", {image.identifier}) == 0  # a machine needs it
    assert actions.evict_useless("local", set()) == 1
    copy.refresh_from_db()
    assert copy.state == ImageState.EVICTING


def test_a_copy_that_somebody_else_vouches_for_stays(ada, image):
    copied(image)
    EntryFactory(identifier=image.identifier)
    actions.remove_image(image, by=ada, reason="Old.", pen=actions.pen_of_key(ada))
    assert actions.evict_useless("local", set()) == 0


def test_a_disk_that_cannot_go_is_named_and_the_image_is_deprecated_all_the_same(
    client, ada, image
):
    Volume.objects.update(state=VolumeState.COPYING)
    answer = client.post(
        f"/marketplace/entries/{image.uuid}/remove/",
        {"reason": "Too old.", "sign_with": "portal"},
        follow=True,
    )
    assert "The disk one was not deleted" in answer.content.decode()
    assert Entry.objects.newest().get().deprecated == "Too old."


def test_nobody_removes_somebody_elses_image(client, ada, image):
    client.force_login(UserFactory())
    url = f"/marketplace/entries/{image.uuid}/remove/"
    assert client.post(url, {"reason": "x", "sign_with": "portal"}).status_code == 404
    eve = endorser("eve")
    actions.new_key(eve, eve)
    with pytest.raises(Refused) as refused:
        actions.remove_image(image, by=eve, reason="x", pen=actions.pen_of_key(eve))
    assert refused.value.code == "not_the_endorser"
