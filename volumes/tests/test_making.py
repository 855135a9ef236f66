"""Disks come to be and go: actions, steps, pages, the bin."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from cloud.errors import CloudBusy, CloudRefused, CloudUnavailable
from core.errors import Refused
from core.models import Event
from registration.models import GIB
from registration.tests.factories import GroupFactory, UserFactory
from volumes import actions
from volumes.lifecycle.making import empty_bin
from volumes.models import Access, Share, Snapshot, Volume
from volumes.quota import bytes_held, bytes_left
from volumes.states import (
    VOLUME_VERBS,
    AttachmentState,
    OfferState,
    SnapshotState,
    VolumeState,
)
from volumes.tests.factories import (
    AttachmentFactory,
    OfferFactory,
    ShareFactory,
    SnapshotFactory,
    VolumeFactory,
)

pytestmark = pytest.mark.django_db

#: Where each verb leads, and a state that it is asked in.
ENDS = {
    "delete": (VolumeState.AVAILABLE, VolumeState.BINNED),
    "recover": (VolumeState.BINNED, VolumeState.AVAILABLE),
    "purge": (VolumeState.BINNED, VolumeState.DELETING),
    "cancel": (VolumeState.UPLOADING, VolumeState.CLEARING),
    "dismiss": (VolumeState.FAILED, VolumeState.DELETED),
}


@pytest.fixture
def alice():
    return UserFactory(username="alice", quota_disk_bytes=100 * GIB)


@pytest.fixture
def browser(client, alice):
    client.force_login(alice)
    return client


def make(browser, **fields):
    answers = {"create_key": str(uuid4()), "size_gib": "1", "visibility": "private", **fields}
    return browser.post("/volumes/new/", answers)


# Making ------------------------------------------------------------------------------------


def test_pressing_make_at_once_makes_a_disk(browser, worker):
    form = browser.get("/volumes/new/").context["form"]
    answers = {name: form[name].value() for name in ("create_key", "size_gib", "visibility")}
    answer = browser.post("/volumes/new/", answers)
    volume = Volume.objects.get()
    assert (answer.status_code, answer.url) == (302, volume.get_absolute_url())
    assert (volume.state, volume.size_bytes, volume.visibility) == ("creating", GIB, "private")
    worker.run()
    volume.refresh_from_db()
    assert (volume.state, volume.cloud_ref) == ("available", volume.token)


def test_the_same_form_sent_twice_makes_one_disk(browser):
    key = str(uuid4())
    first, second = make(browser, create_key=key), make(browser, create_key=key, size_gib="2")
    assert first.url == second.url
    assert Volume.objects.get().size_bytes == GIB


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("size_gib", "0", "Size must be an integer between 1 and 1024"),
        ("size_gib", "1025", "Size must be an integer between 1 and 1024"),
        ("size_gib", "1.5", "Size must be an integer between 1 and 1024"),
        ("size_gib", "many", "Size must be an integer between 1 and 1024"),
        ("size_gib", "9" * 5000, "Size must be an integer between 1 and 1024"),
        ("size_gib", "", "Size must be an integer between 1 and 1024"),
        ("tag", "x" * 41, "At most 40 characters; this has 41"),
        ("tag", "a\u202eb", "cannot be seen"),
        ("visibility", "restricted", "valid choice"),
        ("size_gib", "101", "Your disk quota is 100 GiB"),
        ("create_key", "x", "valid UUID"),
    ],
)
def test_bad_input_gets_its_error_and_makes_nothing(browser, field, value, words):
    answer = make(browser, **{field: value})
    assert answer.status_code == 422
    assert words in str(answer.context["form"].errors[field])
    assert not Volume.objects.exists()


def test_a_tag_in_any_script_is_kept_as_one_line(browser):
    make(browser, tag="  東京   ψ \n<b> ")
    assert Volume.objects.get().tag == "東京 ψ <b>"


def test_the_quota_is_filled_to_the_last_gib_and_no_further(browser, alice):
    VolumeFactory(owner=alice, size_gib=60)
    VolumeFactory(owner=alice, size_gib=20, binned=True)
    SnapshotFactory(volume=VolumeFactory(owner=alice, size_gib=5))  # counts 10
    VolumeFactory(owner=alice, size_gib=50, failed=True)
    VolumeFactory(size_gib=50)
    assert bytes_left(alice) == 10 * GIB
    refused = make(browser, size_gib="11")
    assert "only 10 GiB left" in refused.content.decode()
    assert make(browser, size_gib="10").status_code == 302
    assert bytes_left(alice) == 0
    assert "Your disk quota is 100 GiB: you hold 100 GiB" in make(browser).content.decode()


def test_what_a_disk_would_leave_is_said_without_script(browser, alice):
    VolumeFactory(owner=alice, size_gib=65)
    assert "leaves you 34 GiB of 100 GiB" in browser.get("/volumes/new/").content.decode()
    refused = make(browser, size_gib="5", tag="x" * 41)
    assert "leaves you 30 GiB of 100 GiB" in refused.content.decode()


def test_an_account_that_was_closed_meanwhile_makes_nothing(alice):
    type(alice).objects.filter(pk=alice.pk).update(state="closed")
    with pytest.raises(Refused) as refused:
        actions.create(owner=alice, size_gib=1, create_key=uuid4())
    assert refused.value.code == "not_active"


@pytest.mark.parametrize(
    ("order", "code"),
    [({"size_gib": 0}, "disk_size"), ({"size_gib": 1025}, "disk_size"),
     ({"size_gib": 1, "tag": "x" * 41}, "disk_tag"), ({"size_gib": 101}, "quota_disk")],
)  # fmt: skip
def test_every_refusal_of_making(alice, order, code):
    with pytest.raises(Refused) as refused:
        actions.create(owner=alice, create_key=uuid4(), **order)
    assert refused.value.code == code


# Steps -------------------------------------------------------------------------------------


def test_a_lost_answer_does_not_make_two(alice, worker, cloud):
    volume = actions.create(owner=alice, size_gib=1, create_key=uuid4())
    cloud.lose_next_answer()
    worker.run()
    volume.refresh_from_db()
    assert volume.state == "available"
    assert [info.token for info in cloud.list_volumes()] == [volume.token]


def test_a_full_site_is_waited_for_and_a_refusal_is_final(alice, worker, cloud):
    volume = actions.create(owner=alice, size_gib=1, create_key=uuid4())
    cloud.fail_next(CloudBusy("The site is full."))
    worker.step()
    volume.refresh_from_db()
    assert volume.state == "creating"
    cloud.fail_next(CloudRefused("That is no size."))
    worker.run()
    volume.refresh_from_db()
    assert (volume.state, volume.reason) == ("failed", "That is no size.")
    assert bytes_held(alice) == 0


def test_deleting_ends_the_bytes_the_snapshots_and_the_shares(alice, worker, cloud):
    volume = actions.create(owner=alice, size_gib=1, create_key=uuid4())
    worker.run()
    volume.refresh_from_db()
    snapshot = SnapshotFactory(volume=volume)
    cloud.create_snapshot(volume.cloud_ref, token=snapshot.token)
    ShareFactory(volume=volume, user=UserFactory())
    actions.delete(volume, by=alice)
    assert cloud.find_volume(volume.token)
    actions.purge(volume, by=alice)
    cloud.fail_next(CloudUnavailable("Nobody answers."))
    worker.run()
    volume.refresh_from_db()
    assert (volume.state, volume.cloud_ref, volume.purge_at) == ("deleted", "", None)
    assert cloud.find_volume(volume.token) is None
    assert Snapshot.objects.get().state == SnapshotState.DELETED
    assert not Share.objects.exists()
    assert bytes_held(alice) == 0


def test_an_engine_that_cannot_delete_gives_the_disk_back_to_the_bin(alice, worker, cloud):
    volume = actions.create(owner=alice, size_gib=1, create_key=uuid4())
    worker.run()
    volume.refresh_from_db()
    actions.delete(volume, by=alice)
    actions.purge(volume, by=alice)
    cloud.fail_next(CloudRefused("The disk of the site is read-only."))
    worker.run()
    volume.refresh_from_db()
    assert (volume.state, volume.reason) == ("binned", "The disk of the site is read-only.")
    with pytest.raises(Refused) as refused:
        actions.recover(volume, by=alice)
    assert refused.value.code == "bin_over"
    empty_bin()
    worker.run()
    volume.refresh_from_db()
    assert volume.state == "deleted"


# The bin -----------------------------------------------------------------------------------


def test_a_disk_comes_back_as_it_was(alice, settings):
    settings.PORTAL_BIN_DAYS = 3
    volume = VolumeFactory(owner=alice, public=True)
    ShareFactory(volume=volume, user=UserFactory(), access=Access.WRITE)
    before = Volume.objects.values().get()
    actions.delete(volume, by=alice)
    left = volume.purge_at - timezone.now()
    assert timedelta(days=2, hours=23) < left <= timedelta(days=3)
    actions.recover(volume, by=alice)
    after = Volume.objects.values().get()
    assert {name for name in after if after[name] != before[name]} <= {"state_since", "reason"}
    assert volume.shares.count() == 1


def test_into_the_bin_and_back_no_engine_is_asked_so_no_byte_changes(alice, worker, cloud):
    volume = actions.create(owner=alice, size_gib=1, create_key=uuid4())
    worker.run()
    volume.refresh_from_db()
    asked = len(cloud.world.calls)
    actions.delete(volume, by=alice)
    worker.run()
    actions.recover(volume, by=alice)
    worker.run()
    assert len(cloud.world.calls) == asked
    assert cloud.find_volume(volume.token)


def test_a_binned_disk_is_nobody_elses(client, alice):
    bob = UserFactory()
    volume = VolumeFactory(owner=alice, public=True)
    client.force_login(bob)
    assert client.get(f"/volumes/{volume.uuid}/").status_code == 200
    actions.delete(volume, by=alice)
    assert client.get(f"/volumes/{volume.uuid}/").status_code == 404


def test_the_bin_empties_itself_when_the_time_is_over(alice, worker):
    now = timezone.now()
    over = VolumeFactory(owner=alice, binned=True, purge_at=now - timedelta(seconds=1))
    kept = VolumeFactory(owner=alice, binned=True, purge_at=now + timedelta(hours=1))
    elsewhere = VolumeFactory(binned=True, purge_at=now - timedelta(days=9), cloud="before")
    empty_bin()
    worker.run()
    states = {row.pk: row.state for row in Volume.objects.all()}
    assert states == {over.pk: "deleted", kept.pk: "binned", elsewhere.pk: "binned"}
    assert "Its time in the bin is over." in [e.reason for e in Event.objects.of(over.uuid)]


def test_a_site_without_a_bin_deletes_at_once(alice, settings, worker):
    settings.PORTAL_BIN_DAYS = 0
    volume = VolumeFactory(owner=alice)
    actions.delete(volume, by=alice)
    assert volume.state == "deleting"
    worker.run()
    volume.refresh_from_db()
    assert volume.state == "deleted"


def test_offers_of_a_deleted_disk_are_withdrawn(alice):
    offer = OfferFactory(volume__owner=alice)
    actions.delete(offer.volume, by=alice)
    offer.refresh_from_db()
    assert offer.state == OfferState.WITHDRAWN


# Who may, and when -------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ENDS)
@pytest.mark.parametrize(
    ("role", "may"),
    [("owner", True), ("administrator", True), ("reader", False), ("writer", False),
     ("of_group", False), ("stranger", False)],
)  # fmt: skip
def test_only_owner_and_administrators_end_disks(verb, role, may):
    before, after = ENDS[verb]
    person = UserFactory(admin=role == "administrator")
    volume = VolumeFactory(state=before, public=role == "reader")
    if role == "owner":
        Volume.objects.update(owner=person)
    if role == "writer":
        ShareFactory(volume=volume, user=person, access=Access.WRITE)
    if role == "of_group":
        group = GroupFactory()
        group.memberships.create(user=person)
        ShareFactory(volume=volume, group=group, access=Access.WRITE)
    volume.refresh_from_db()
    if may:
        actions.VERBS[verb](volume, by=person)
        volume.refresh_from_db()
        event = Event.objects.of(volume.uuid).filter(verb=verb).get()
        assert (volume.state, event.by, event.outcome) == (after, person, "done")
    else:
        with pytest.raises(Refused) as refused:
            actions.VERBS[verb](volume, by=person)
        assert refused.value.code == "not_yours"
        volume.refresh_from_db()
        assert volume.state == before
        assert Event.objects.of(volume.uuid).get().outcome == "denied"


@pytest.mark.parametrize("verb", ENDS)
@pytest.mark.parametrize("state", VolumeState.values)
def test_each_verb_fits_its_states_only(alice, verb, state):
    volume = VolumeFactory(owner=alice, state=state)
    if state in VOLUME_VERBS[verb]:
        actions.VERBS[verb](volume, by=alice)
        assert volume.state == ENDS[verb][1]
        return
    with pytest.raises(Refused) as refused:
        actions.VERBS[verb](volume, by=alice)
    assert refused.value.code == ("disk_in_use" if state == "in_use" else "disk_state")
    assert Volume.objects.get().state == state


def test_a_disk_in_use_names_its_machines(alice):
    attachment = AttachmentFactory(volume__owner=alice, vm__name="web", read_only=True)
    AttachmentFactory(
        volume=attachment.volume, vm__name="db", vm__owner=alice, read_only=True,
        state=AttachmentState.DETACHING,
    )  # fmt: skip
    with pytest.raises(Refused, match="db and web"):
        actions.delete(attachment.volume, by=alice)


@pytest.mark.parametrize(
    "path", ["delete/", "purge/", "recover/", "cancel/", "dismiss/", "row/"]
)  # fmt: skip
def test_a_strangers_disk_does_not_exist(browser, path):
    volume = VolumeFactory(binned=True)
    method = browser.get if path == "row/" else browser.post
    assert method(f"/volumes/{volume.uuid}/{path}").status_code == 404
    verb = "opened" if path == "row/" else path.strip("/")
    assert Event.objects.of(volume.uuid).get().verb == verb


@pytest.mark.parametrize("path", ["", "new/", "delete/", "bin/", "bin/purge/"])
def test_pages_ask_to_sign_in(client, path):
    answer = client.get(f"/volumes/{path}")
    assert (answer.status_code, answer.url.split("?")[0]) == (302, "/login/")


@pytest.mark.parametrize("path", ["recover/", "cancel/", "dismiss/"])
def test_links_change_nothing(browser, alice, path):
    volume = VolumeFactory(owner=alice)
    assert browser.get(f"/volumes/{volume.uuid}/{path}").status_code == 405


# Pages -------------------------------------------------------------------------------------


def test_deleting_an_empty_disk_asks_for_one_press(browser, alice):
    volume = VolumeFactory(owner=alice, tag="empty")
    page = browser.get(f"/volumes/{volume.uuid}/delete/").content.decode()
    assert "Nothing: no machine has written to it." in page
    assert 'name="typed"' not in page
    assert "restored for 7 days" in page
    answer = browser.post(f"/volumes/{volume.uuid}/delete/", follow=True)
    assert "Deleted: empty." in answer.content.decode()
    assert Volume.objects.get().state == "binned"


def test_deleting_data_asks_to_type_the_tag_and_says_what_goes(browser, alice):
    volume = VolumeFactory(
        owner=alice, tag="results <2026>", size_gib=3, written_at=timezone.now(), public=True
    )
    SnapshotFactory.create_batch(2, volume=volume)
    SnapshotFactory(volume=volume, state=SnapshotState.DELETED)
    ShareFactory(volume=volume, user=UserFactory(username="bob"))
    ShareFactory(volume=volume, group=GroupFactory(name="Pulsars"))
    path = f"/volumes/{volume.uuid}/delete/"
    page = " ".join(browser.get(path).content.decode().split())
    for words in (
        "results &lt;2026&gt;", "3 GiB", ">2</td>", "bob", "Pulsars", "everybody (public)",
        "Machines could write to it since", "(9 GiB)",
    ):  # fmt: skip
        assert words in page
    for typed in ("", "results", "RESULTS <2026>"):
        answer = browser.post(path, {"typed": typed, "disk": str(volume.uuid)})
        assert answer.status_code == 422
    assert Volume.objects.get().state == "available"
    assert browser.post(path, {"typed": " results <2026> "}).status_code == 302
    assert Volume.objects.get().state == "binned"


def test_without_a_tag_the_beginning_of_the_uuid_is_typed(browser, alice):
    volume = VolumeFactory(owner=alice, tag="", uploaded=True)
    path = f"/volumes/{volume.uuid}/delete/"
    assert browser.post(path, {"typed": volume.token}).status_code == 422
    assert browser.post(path, {"typed": volume.token[:8]}).status_code == 302


def test_the_page_of_one_in_use_says_why_and_offers_nothing(browser, alice):
    attachment = AttachmentFactory(volume__owner=alice, vm__name="web")
    path = f"/volumes/{attachment.volume.uuid}/delete/"
    page = browser.get(path).content.decode()
    assert "In use by web: detach it first." in page
    assert 'name="disk"' not in page
    assert browser.post(path).status_code == 422
    assert Volume.objects.get().state == "in_use"


def test_several_are_deleted_at_once_and_the_others_say_why(browser, alice):
    full = VolumeFactory(owner=alice, tag="full", written_at=timezone.now())
    empty = VolumeFactory(owner=alice, tag="empty")
    used = AttachmentFactory(volume__owner=alice, volume__tag="used", vm__name="web").volume
    keys = [str(volume.uuid) for volume in (full, empty, used)]
    page = browser.get("/volumes/delete/", {"disk": [*keys, "nonsense"]}).content.decode()
    assert "Delete 2 disks" in page
    assert "In use by web: detach it first." in page
    assert browser.post("/volumes/delete/", {"disk": keys, "typed": "full"}).status_code == 422
    answer = browser.post("/volumes/delete/", {"disk": keys, "typed": "delete 2"})
    assert answer.status_code == 302
    states = {row.tag: row.state for row in Volume.objects.all()}
    assert states == {"full": "binned", "empty": "binned", "used": "in_use"}


def test_others_disks_in_a_selection_are_left_out_and_told_to_the_audit(browser, alice):
    own, others = VolumeFactory(owner=alice), VolumeFactory()
    keys = [str(own.uuid), str(others.uuid), str(uuid4())]
    assert browser.post("/volumes/delete/", {"disk": keys}).status_code == 302
    others.refresh_from_db()
    assert others.state == "available"
    event = Event.objects.of(others.uuid).get()
    assert (event.verb, event.outcome) == ("delete", "denied")


def test_nothing_chosen_is_said(browser):
    answer = browser.get("/volumes/delete/", follow=True)
    assert "Choose at least one disk" in answer.content.decode()


def test_the_bin_tells_the_time_left_and_what_it_counts(browser, alice):
    VolumeFactory(
        owner=alice, tag="old", binned=True, size_gib=4,
        purge_at=timezone.now() + timedelta(days=2, hours=1),
    )  # fmt: skip
    SnapshotFactory(volume=Volume.objects.get())
    VolumeFactory(binned=True, tag="of another")
    page = browser.get("/volumes/bin/").content.decode()
    assert "2 days" in page
    assert "8 GiB of your quota" in page
    assert "of another" not in page
    assert "of another" not in browser.get("/volumes/bin/?tab=all").content.decode()


def test_an_administrator_sees_every_bin(client):
    client.force_login(UserFactory(admin=True))
    VolumeFactory(binned=True, tag="of another")
    assert "of another" not in client.get("/volumes/bin/").content.decode()
    assert "of another" in client.get("/volumes/bin/?tab=all").content.decode()


def test_one_and_several_are_restored(browser, alice):
    one, *more = VolumeFactory.create_batch(3, owner=alice, binned=True)
    assert "Out of the bin" in browser.post(
        f"/volumes/{one.uuid}/recover/", follow=True
    ).content.decode()  # fmt: skip
    browser.post("/volumes/bin/ask/", {"verb": "recover", "disk": [str(v.uuid) for v in more]})
    assert set(Volume.objects.values_list("state", flat=True)) == {"available"}


def test_deleting_for_good_is_always_typed(browser, alice):
    volumes = VolumeFactory.create_batch(2, owner=alice, binned=True)
    keys = [str(volume.uuid) for volume in volumes]
    answer = browser.post("/volumes/bin/ask/", {"verb": "purge", "disk": keys})
    assert "csrf" not in answer.url
    page = browser.get(answer.url).content.decode()
    assert "delete 2" in page
    assert Volume.objects.filter(state="binned").count() == 2
    form = {"disk": re.findall(r'name="disk" value="([^"]+)"', page), "typed": "delete 2"}
    assert browser.post("/volumes/bin/purge/", form).status_code == 302
    assert set(Volume.objects.values_list("state", flat=True)) == {"deleting"}


def test_cancelling_in_the_row_answers_with_the_row(browser, alice):
    volume = VolumeFactory(owner=alice, state=VolumeState.UPLOADING)
    path = f"/volumes/{volume.uuid}/cancel/"
    row = browser.post(path, {"in": "row"}, headers={"X-Requested-With": "fetch"})
    assert (row.status_code, row.content.decode().count("<tr")) == (200, 1)
    again = browser.post(path, {"in": "row"}, headers={"X-Requested-With": "fetch"})
    assert again.status_code == 422
    assert "refusal" in again.content.decode()


def test_a_failure_is_dismissed_and_the_list_keeps_its_filters(browser, alice):
    volume = VolumeFactory(owner=alice, failed=True)
    here = {"Referer": "http://testserver/volumes/?state=failed&sort=size"}
    answer = browser.post(f"/volumes/{volume.uuid}/dismiss/", headers=here)
    assert answer.url == "/volumes/?state=failed&sort=size"
    assert Volume.objects.get().state == "deleted"
    other = {"Referer": "http://evil.example/volumes/elsewhere?x=1"}
    failed = VolumeFactory(owner=alice, failed=True)
    answer = browser.post(f"/volumes/{failed.uuid}/dismiss/", headers=other)
    assert answer.url == "/volumes/"


def test_who_deletes_goes_back_to_the_list_as_it_was(browser, alice):
    volume = VolumeFactory(owner=alice, tag="small")
    path = f"/volumes/{volume.uuid}/delete/"
    came = "http://testserver/volumes/?q=small&state=available"
    assert (
        'value="?q=small&amp;state=available"'
        in browser.get(path, HTTP_REFERER=came).content.decode()
    )
    assert browser.get(path, HTTP_REFERER="https://example.org/?q=1").context["back"] == ""
    answer = browser.post(path, {"back": "?q=small&state=available"})
    assert answer.url == "/volumes/?q=small&state=available"
