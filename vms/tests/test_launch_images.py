"""Which entry of an image a launch takes, and what it is refused with."""

import socket
import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from core.errors import Refused
from core.models import Event
from marketplace.architectures import can_run
from marketplace.models import (
    Document,
    DocumentArrival,
    Entry,
    ImageFile,
    PolicyLine,
    TestedSize,
    Use,
)
from marketplace.states import ArrivalState, ImageState, Trust
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from registration.tests.factories import UserFactory
from vms import actions, tasks
from vms.lifecycle import STAGED_WITHIN
from vms.models import VM, CloudStatus, Readiness
from vms.states import VmState
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db

BOB = "bob@example.org"
WEB = "https://images.example.org/debian.qcow2"


@pytest.fixture
def alice():
    return UserFactory()


@pytest.fixture
def browser(client, alice):
    client.force_login(alice)
    return client


def refused(owner, entry):
    order = actions.Order(
        entry=entry, name="web", type_name="m1.small", vcpus=1, memory_mib=512,
    )  # fmt: skip
    with pytest.raises(Refused) as refusal:
        actions.launch(owner=owner, order=order)
    assert not VM.objects.exists()
    return refusal.value


def black(email=BOB):
    PolicyLine.objects.create(subject="endorser", colour="black", value=email)


def post(browser, query, **fields):
    answers = {"launch_key": str(uuid4()), "name": "web", "type_name": "m1.small",
               "without_key": "on", **fields}  # fmt: skip
    return browser.post(f"/vms/launch/?{query}", answers)


def shown(browser, image, **more):
    answer = browser.get("/vms/launch/", {"image": image, **more})
    return answer.context["entry"] if "form" in answer.context else answer


# What is refused, and how -----------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"deprecated": "Its SSH is broken."}, "image_deprecated",
         "This image is deprecated: Its SSH is broken. So says its endorser, alice@example.org"),
        ({"valid_until": timezone.now() - timedelta(days=3, hours=1)}, "image_expired",
         "3\xa0days ago. Ask its endorser, alice@example.org, to extend it"),
        ({"valid_until": None}, "image_undated", "states no end of its validity"),
        ({"kind": "disk"}, "image_kind", "no machine can boot from it"),
        ({"trust": Trust.INVALID}, "image_signature", "signature of this entry is not valid"),
        ({"endorser_email": "Bob@example.org"}, "image_policy",
         "Not allowed here: the endorser bob@example.org is on this site's black list"),
        ({"os_arch": "aarch64"}, "image_architecture",
         "This image is for aarch64; the machines of this site are x86_64."),
        ({"is_latest": False}, "image_replaced", "no longer stands by this entry"),
        ({"is_kept_here": False}, "image_nowhere", "names no place where the file is"),
    ],
)  # fmt: skip
def test_each_refusal_says_why_and_what_to_do(alice, fields, code, words):
    black()
    CloudStatus.objects.create(cloud="local", architectures=["x86_64"])
    refusal = refused(alice, EntryFactory(**fields))
    assert (refusal.code, words in str(refusal)) == (code, True), str(refusal)


def test_an_invalid_signature_says_what_is_wrong_with_it(alice):
    entry = EntryFactory(trust=Trust.INVALID)
    Document.objects.create(entry=entry, xml=b"<x/>", detail="The digest is another one.")
    assert "not valid: The digest is another one. Nobody" in str(refused(alice, entry))


def test_what_was_said_before_a_deprecation_is_deprecated(alice):
    old = EntryFactory(is_latest=False)
    EntryFactory(
        identifier=old.identifier, endorser_email=old.endorser_email, deprecated="It is old",
    )  # fmt: skip
    assert "deprecated: It is old. So says" in str(refused(alice, old))


def test_the_lists_are_asked_for_images_that_are_here_already(alice):
    entry = EntryFactory(endorser_email=BOB)
    ImageFileFactory(entry=entry, ready=True)
    black()
    assert refused(alice, entry).code == "image_policy"
    denied = Event.objects.get(kind="entry", outcome="denied")
    assert (denied.verb, denied.by) == ("launch", alice)
    assert "black list" in denied.reason


@pytest.mark.parametrize(
    ("image", "site", "runs"),
    [
        ("x86_64", "x86_64", True), ("amd64", "x86_64", True), ("i686", "x86_64", True),
        ("i386", "amd64", True), ("X86_64", "x86_64", True), ("x86_64", "i686", False),
        ("aarch64", "x86_64", False), ("arm64", "aarch64", True), ("riscv64", "riscv64", True),
    ],
)  # fmt: skip
def test_architectures_by_all_their_names(image, site, runs):
    assert can_run(image, [site]) is runs


def test_an_image_of_no_known_architecture_is_tried(alice):
    CloudStatus.objects.create(cloud="local", architectures=["x86_64"])
    rows = Entry.objects.filter(pk=EntryFactory(os_arch="").pk)
    assert actions.candidates(rows, by=alice)[0].refused is None


# Which of several entries -----------------------------------------------------


@pytest.fixture
def said():
    """One image by three endorsers: the site long ago, Carol, and Bob last."""
    site = EntryFactory(official=True, endorser_email="site@example.org")
    others = [
        EntryFactory(identifier=site.identifier, sha1=site.sha1, endorser_email=email)
        for email in ("carol@example.org", BOB)
    ]
    return [site, *others]


def test_the_sites_own_entry_goes_before_newer_ones(browser, said):
    assert shown(browser, said[0].identifier) == said[0]


def test_without_one_of_the_site_the_newest_that_is_allowed(browser, said):
    site, carol, bob = said
    Entry.objects.filter(pk=site.pk).update(deprecated="old")
    assert shown(browser, bob.identifier) == bob
    black()
    assert shown(browser, bob.identifier) == carol


@pytest.mark.parametrize("how", ["uuid", "permalink", "address", "endorser", "old"])
def test_exactly_one_can_be_asked_for(browser, said, how, settings):
    settings.PORTAL_URL = "https://portal.example.org"
    bob = said[2]
    image, more = {
        "uuid": (bob.identifier, {"entry": bob.uuid}),
        "permalink": (bob.permalink, {}),
        "old": (f"http://testserver{bob.permalink.removeprefix('/marketplace')}", {}),
        "address": (f"https://portal.example.org{bob.permalink}", {}),
        "endorser": (f"http://testserver/metadata/{bob.identifier}/{BOB}", {}),
    }[how]
    assert shown(browser, image, **more) == bob


def test_the_one_that_was_shown_is_launched_whatever_is_said_meanwhile(browser, said):
    site = said[0]
    Entry.objects.filter(pk=site.pk).update(is_official=False)
    bob = shown(browser, site.identifier)
    newer = EntryFactory(identifier=site.identifier, endorser_email="eve@example.org")
    assert shown(browser, site.identifier) == newer
    assert post(browser, f"image={site.identifier}", entry=bob.uuid).status_code == 302
    assert VM.objects.get().entry == bob


def test_one_that_was_deprecated_meanwhile_is_not(browser):
    entry = EntryFactory()
    Entry.objects.filter(pk=entry.pk).update(deprecated="It has a hole")
    answer = post(browser, f"image={entry.identifier}", entry=entry.uuid)
    assert answer.status_code == 422
    assert "This image is deprecated: It has a hole." in answer.text
    assert not VM.objects.exists()


def test_when_none_may_be_launched_each_says_why(browser, said):
    black()
    black("carol@example.org")
    Entry.objects.filter(pk=said[0].pk).update(valid_until=timezone.now() - timedelta(days=40))
    answer = browser.get("/vms/launch/", {"image": said[0].identifier})
    assert "cannot be launched" in answer.text
    for words in ("This image expired on", f"endorser {BOB} is on", "carol@example.org is on"):
        assert words in answer.text


def test_one_that_may_not_leads_to_the_others_that_may(browser, said):
    black()
    answer = browser.get("/vms/launch/", {"image": said[0].identifier, "entry": said[2].uuid})
    assert "cannot be launched" in answer.text
    assert f"entry={said[0].uuid}" in answer.text


def test_an_entry_of_another_image_is_not_found(browser):
    entry, other = EntryFactory.create_batch(2)
    asked = {"image": entry.identifier, "entry": other.uuid}
    assert browser.get("/vms/launch/", asked).status_code == 404
    asked["entry"] = "x"
    assert browser.get("/vms/launch/", asked).status_code == 404


@pytest.mark.parametrize("how", ["identifier", "permalink", "uuid"])
def test_a_strangers_private_image_does_not_exist(browser, how):
    entry = EntryFactory(visibility="private", owner=UserFactory())
    asked = {"image": entry.permalink if how == "permalink" else entry.identifier}
    if how == "uuid":
        asked["entry"] = entry.uuid
    assert browser.get("/vms/launch/", asked).status_code == 404
    assert post(browser, f"image={entry.identifier}", entry=entry.uuid).status_code == 404


def test_many_endorsers_cost_as_much_as_one(browser, django_assert_max_num_queries):
    entry = EntryFactory()
    for number in range(20):
        EntryFactory(identifier=entry.identifier, endorser_email=f"u{number}@example.org")
    with django_assert_max_num_queries(24):
        assert len(browser.get("/vms/launch/", {"image": entry.identifier}).context["others"]) == 20


# Addresses --------------------------------------------------------------------


def test_a_tag_of_an_endorser_is_its_newest_image(browser):
    old, new, gone = (EntryFactory(alternative="demo", endorser_email=BOB) for _ in range(3))
    Entry.objects.filter(pk=gone.pk).update(deprecated="broken")
    assert old != new
    assert shown(browser, f"http://testserver/marketplace/tag/{BOB}/demo") == new
    assert shown(browser, f"http://testserver/tag/{BOB}/demo/") == new
    assert shown(browser, f"/marketplace/metadata/{BOB}?tag=demo") == new


@pytest.mark.parametrize(
    "text",
    [
        "nonsense", "mailto:bob@example.org", "http://testserver/", "/vms/", "http://[",
        "http://testserver/marketplace/", "ftp://example.org/x", "/nothing/here",
    ],
)  # fmt: skip
def test_what_names_no_image_is_refused_in_place(browser, text):
    answer = browser.get("/vms/launch/", {"image": text})
    assert "neither an image identifier" in answer.text


def test_an_address_elsewhere_is_fetched_when_asked_by_post_only(browser, alice):
    url = "https://marketplace.example.net/metadata/MMZu9WvwKIro-rtBQfDk4PsKO7_"
    answer = browser.get("/vms/launch/", {"image": url})
    assert answer.status_code == 200
    assert "fetches the metadata from this address" in answer.text
    assert not DocumentArrival.objects.exists()
    answer = browser.post("/vms/launch/fetch/", {"image": url})
    arrival = DocumentArrival.objects.get()
    assert (answer.status_code, arrival.url, arrival.owner) == (302, url, alice)
    assert arrival.to_launch
    assert arrival.state == ArrivalState.FETCHING


def test_an_address_of_this_site_is_not_fetched(browser):
    entry = EntryFactory()
    answer = browser.post("/vms/launch/fetch/", {"image": f"http://testserver{entry.permalink}"})
    assert (answer.status_code, "image=http" in answer.url) == (302, True)
    assert not DocumentArrival.objects.exists()


def test_a_launch_without_an_image_asks_for_one(browser):
    answer = browser.get("/vms/launch/")
    assert answer.status_code == 200
    assert "Image identifier or address" in answer.text
    assert reverse("marketplace:catalogue") in answer.text


def test_a_visitor_comes_back_to_the_launch_after_signing_in(client):
    entry = EntryFactory()
    address = f"/vms/launch/?image={entry.identifier}&entry={entry.uuid}"
    answer = client.get(address)
    assert answer.status_code == 302
    assert f"entry%3D{entry.uuid}" in answer.url


# What the page says of the image ----------------------------------------------


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, "the first launch fetches 350 MiB"),
        (ImageState.READY, "the machine starts from it at once"),
        (ImageState.FETCHING, "It is on its way"),
        (ImageState.EVICTED, "the first launch fetches 350 MiB"),
        (ImageState.FAILED, "The last try failed: it was cut off"),
    ],
)
def test_the_page_says_who_endorses_it_and_whether_it_is_here(browser, state, words):
    entry = EntryFactory(
        is_kept_here=False, locations=[WEB], size_bytes=350 << 20, trust=Trust.TRUSTED
    )
    if state:
        copy = ImageFileFactory(entry=entry, state=state, reason="it was cut off")
        ImageFile.objects.filter(state=ImageState.READY).update(ref="x")
        copy.proven_by.add(entry)
    text = browser.get("/vms/launch/", {"image": entry.identifier}).text
    assert words in text
    assert entry.endorser_email in text
    assert "Signed; the certificate is trusted here" in text


@pytest.mark.parametrize("state", [ImageState.READY, ImageState.FETCHING, ImageState.FAILED])
def test_a_copy_of_a_strangers_private_image_is_not_told_of(browser, state):
    theirs = EntryFactory(visibility="private", owner=UserFactory())
    copy = ImageFileFactory(entry=theirs, state=state, reason="their secret", ref="x")
    copy.proven_by.add(theirs)
    entry = EntryFactory(
        identifier=theirs.identifier,
        is_kept_here=False,
        locations=[WEB],
        size_bytes=350 << 20,
        endorser_email=BOB,
    )
    text = browser.get("/vms/launch/", {"image": entry.identifier}).text
    assert "the first launch fetches 350 MiB" in text
    assert "their secret" not in text


def test_an_image_of_unknown_size_says_so(browser):
    entry = EntryFactory(is_kept_here=False, locations=[WEB], size_bytes=None)
    text = browser.get("/vms/launch/", {"image": entry.identifier}).text
    assert "Not known before it is fetched" in text
    assert "the first launch fetches it" in text


# Machines that wait, and machines that run ------------------------------------


@pytest.mark.parametrize("state", [VmState.PENDING, VmState.PROLOG])
def test_a_machine_that_waits_fails_when_the_lists_change(cloud, worker, state):
    vm = VMFactory(entry=EntryFactory(endorser_email=BOB), state=state)
    black()
    worker.step()
    vm.refresh_from_db()
    assert vm.state == VmState.FAILED
    assert vm.reason.startswith(f"Not allowed here: the endorser {BOB} is on")


def test_a_machine_that_runs_is_not_touched_and_its_page_says_it(cloud, worker, browser, alice):
    vm = VMFactory(entry=EntryFactory(endorser_email=BOB), running=True, owner=alice)
    black()
    worker.run(hours=0.01)
    vm.refresh_from_db()
    assert vm.state != VmState.FAILED
    assert "This machine is not touched." in browser.get(vm.get_absolute_url()).text


def test_a_machines_page_says_what_became_of_its_image(browser, alice):
    entry = EntryFactory()
    vm = VMFactory(entry=entry, running=True, owner=alice)
    text = browser.get(vm.get_absolute_url()).text
    assert entry.permalink in text
    assert "Deprecated" not in text
    Entry.objects.filter(pk=entry.pk).update(is_latest=False)
    EntryFactory(
        identifier=entry.identifier, endorser_email=entry.endorser_email,
        deprecated="It has a hole.", created_at=timezone.now() + timedelta(seconds=5),
    )  # fmt: skip
    text = browser.get(vm.get_absolute_url()).text
    assert "Deprecated since you launched it: It has a hole." in text


def test_an_image_that_one_no_longer_sees_is_not_linked(browser, alice):
    entry = EntryFactory(visibility="private", owner=UserFactory())
    vm = VMFactory(entry=entry, running=True, owner=alice)
    assert entry.permalink not in browser.get(vm.get_absolute_url()).text


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (ImageState.FETCHING, "Fetching the image"),
        (ImageState.UNPACKING, "Unpacking and checking the image"),
        (ImageState.COPYING, "Copying the image"),
        (ImageState.CHECKING, "looks at what the file is"),
        (ImageState.WANTED, "A machine needs this image"),
    ],
)
def test_the_timeline_shows_how_far_the_image_is(browser, alice, state, words):
    vm = VMFactory(owner=alice)
    vm.move(VmState.PROLOG)
    ImageFileFactory(entry=vm.entry, state=state, bytes_done=5 << 20, bytes_total=20 << 20)
    text = browser.get(vm.get_absolute_url()).text
    assert words in text
    moves = state in (ImageState.FETCHING, ImageState.UNPACKING, ImageState.COPYING)
    assert ("5 MiB of 20 MiB" in text) is moves


def test_the_timeline_says_that_a_fetch_has_not_begun(browser, alice):
    vm = VMFactory(owner=alice)
    vm.move(VmState.PROLOG)
    why = "Waiting for its turn: the portal fetches images, 4 at a time."
    ImageFileFactory(entry=vm.entry, state=ImageState.FETCHING, reason=why, bytes_total=20 << 20)
    text = browser.get(vm.get_absolute_url()).text
    assert why in text
    assert "Fetching the image" not in text


@pytest.mark.parametrize(
    ("state", "goes_on"), [(VmState.PROLOG, True), (VmState.DONE, False), (VmState.FAILED, False)]
)
def test_an_image_is_fetched_for_as_long_as_a_machine_waits(cloud, state, goes_on):
    vm = VMFactory(state=state)
    image = ImageFileFactory(entry=vm.entry, state=ImageState.FETCHING)
    tasks.let_go()
    image.refresh_from_db()
    assert (image.state == ImageState.FETCHING) is goes_on


def test_a_machine_waits_for_its_image_longer_than_for_the_engine(cloud, worker):
    vm = VMFactory()
    cloud.put_image(vm.entry.identifier)
    image = ImageFileFactory(entry=vm.entry, ready=True)
    ref = cloud.create_vm(vm.spec(), token=vm.token).ref
    cloud.hold(ref)
    VM.objects.filter(pk=vm.pk).update(
        state=VmState.PROLOG, cloud_ref=ref,
        state_since=timezone.now() - STAGED_WITHIN - timedelta(hours=5),
    )  # fmt: skip
    worker.step()
    vm.refresh_from_db()
    assert vm.state == VmState.PROLOG  # the image has only just arrived
    type(image).objects.update(state_since=timezone.now() - STAGED_WITHIN - timedelta(minutes=1))
    VM.objects.update(next_tick_at=timezone.now())
    worker.step()
    vm.refresh_from_db()
    assert (vm.state, vm.reason) == (
        VmState.FAILED, "The engine did not make its disks within 1 hour.",
    )  # fmt: skip


# What the Marketplace is told -------------------------------------------------


def test_a_launch_is_counted_as_a_use_of_the_image(alice):
    entry = EntryFactory()
    order = actions.Order(entry=entry, name="web", type_name="m1.small", vcpus=1, memory_mib=512)
    actions.launch(owner=alice, order=order)
    actions.launch(owner=alice, order=order)  # the same order: one machine
    use = Use.objects.get()
    assert (use.entry, use.user, use.launches) == (entry, alice, 1)


def test_a_size_that_answered_by_ssh_is_tested(cloud, worker, free_port_with_ssh):
    entry = EntryFactory()
    cloud.put_image(entry.identifier)
    ImageFileFactory(entry=entry, ready=True)
    vm = VMFactory(entry=entry)
    worker.run(hours=0.001)
    vm.refresh_from_db()
    assert vm.state == VmState.RUNNING
    VM.objects.filter(pk=vm.pk).update(
        endpoints=[{"guest_port": 22, "host": "127.0.0.1", "port": free_port_with_ssh}]
    )
    # The worker's clock ran ahead of ours.
    now = timezone.now()
    Readiness.objects.update(state_since=now, next_tick_at=now, lease_until=None)
    worker.run(hours=0.001)
    tested = TestedSize.objects.get()
    assert (tested.entry, tested.size, tested.vcpus, tested.memory_mib, tested.times) == (
        entry, "m1.small", 1, 512, 1,
    )  # fmt: skip


@pytest.fixture
def free_port_with_ssh():
    """The port of something that greets as SSH does."""
    server = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def greet():
        server.settimeout(0.1)
        while not stop.is_set():
            try:
                link, _ = server.accept()
            except TimeoutError:
                continue
            with link:
                link.sendall(b"SSH-2.0-test\r\n")

    thread = threading.Thread(target=greet)
    thread.start()
    yield server.getsockname()[1]
    stop.set()
    thread.join()
    server.close()
