"""Uploads by the tus protocol: a real web process, real connections, files on a real disk."""

import base64
import contextlib
import hashlib
import os
import random
import shutil
import signal
import socket
import time
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from conftest import wait_for
from core.machine import tick
from core.models import Event, Outcome
from registration.models import GIB, Policy, Scope
from registration.tests.factories import UserFactory
from volumes import appending, landing
from volumes.actions import making, uploads
from volumes.lifecycle import VOLUME_STEPS
from volumes.models import DiskType, Origin, Visibility, Volume
from volumes.states import VolumeState
from volumes.tests.uploading import PATH, Server, Uploader, token_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_server"),
    pytest.mark.slow,
]

MIB = 1 << 20
CONTENT = random.Random(4).randbytes(3 * MIB)


@pytest.fixture(scope="module")
def landing_place(tmp_path_factory):
    return tmp_path_factory.mktemp("arrivals")


@pytest.fixture(scope="module")
def process(landing_place, django_db_setup, redis_server, django_db_blocker):
    with django_db_blocker.unblock():
        server = Server(landing_place)
    server.start()
    yield server
    server.end()


@pytest.fixture
def server(process, landing_place, settings):
    settings.PORTAL_ARRIVALS = landing_place
    if process.process is None:
        process.start()
    yield process
    for name in os.listdir(landing_place):
        shutil.rmtree(landing_place / name)


@pytest.fixture
def alice():
    return UserFactory(username="alice")


@pytest.fixture
def uploader(server, alice):
    return Uploader(server, alice)


def volume_at(path: str) -> Volume:
    return Volume.objects.select_related("arrival").get(uuid=path.rstrip("/").rpartition("/")[2])


def begun(uploader: Uploader, length: int = len(CONTENT), **said: str) -> str:
    answer = uploader.begin(length, filename="data.img", **said)
    assert answer.status == 201, answer
    return answer.path


def landed(path: str) -> bytes:
    return landing.received(volume_at(path)).read_bytes()


def step(path: str) -> Volume:
    Volume.objects.filter(pk=volume_at(path).pk).update(
        next_tick_at=timezone.now(), lease_until=None
    )
    tick(volume_at(path), VOLUME_STEPS)
    return volume_at(path)


def checksum(content: bytes, algorithm: str = "sha256") -> str:
    digest = hashlib.new(algorithm, content).digest()
    return f"{algorithm} {base64.b64encode(digest).decode()}"


# The protocol ------------------------------------------------------------------------------


def test_options_announce_what_there_is_to_everybody(server):
    answer = Uploader(server).ask("OPTIONS", PATH, Tus_Resumable=None)
    assert answer.status == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert int(answer.headers["Tus-Max-Size"]) == uploads.largest_upload()
    announced = set(answer.headers["Tus-Extension"].split(","))
    assert announced == {
        "creation", "creation-with-upload", "checksum", "expiration", "termination"
    }  # fmt: skip
    assert "sha256" in answer.headers["Tus-Checksum-Algorithm"].split(",")


def test_a_file_comes_in_pieces_and_is_checked_next(uploader, alice, cloud):
    path = begun(uploader, tag="results", visibility="public", type="DATA_IMAGE_RAW_READONLY")
    volume = volume_at(path)
    assert volume.state == VolumeState.UPLOADING
    assert (volume.owner, volume.tag, volume.origin) == (alice, "results", Origin.UPLOADED)
    assert volume.visibility == Visibility.PUBLIC
    assert volume.type == DiskType.DATA_IMAGE_RAW_READONLY
    assert uploader.offset(path) == 0

    first = uploader.append(path, 0, CONTENT[:MIB])
    assert (first.status, first.offset) == (204, MIB)
    assert first.headers["Upload-Expires"].endswith("GMT")
    assert volume_at(path).bytes_done == MIB
    assert step(path).state == VolumeState.UPLOADING

    last = uploader.append(path, MIB, CONTENT[MIB:])
    assert (last.status, last.offset) == (204, len(CONTENT))
    assert landed(path) == CONTENT
    volume = step(path)
    assert volume.state == VolumeState.CHECKING
    assert volume.bytes_done == volume.bytes_total == len(CONTENT)
    head = uploader.ask("HEAD", path)  # as after a last answer that got lost
    assert head.offset == int(head.headers["Upload-Length"]) == len(CONTENT)


def test_answers_pass_the_same_middleware_as_pages(uploader):
    answer = uploader.ask("HEAD", begun(uploader))
    assert answer.headers["Cache-Control"].startswith("max-age=0")
    assert "no-store" in answer.headers["Cache-Control"]
    assert len(answer.headers["X-Request-ID"]) == 12
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_first_bytes_may_come_with_the_announcement(uploader):
    answer = uploader.begin(len(CONTENT), CONTENT[:MIB], filename="data.img")
    assert (answer.status, answer.offset) == (201, MIB)
    assert landed(answer.path) == CONTENT[:MIB]


def test_the_announcement_sent_twice_is_one_upload(uploader):
    key = "0b8e3a52-5a57-4a41-9c3c-54a1d6f7e0aa"
    assert begun(uploader, key=key) == begun(uploader, key=key)
    assert Volume.objects.count() == 1


def test_what_was_said_comes_back(uploader):
    path = begun(uploader, tag="a tag", sha256="A" * 64)
    said = uploader.ask("HEAD", path).headers["Upload-Metadata"]
    pairs = dict(pair.split(" ") for pair in said.split(","))
    assert base64.b64decode(pairs["filename"]) == b"data.img"
    assert base64.b64decode(pairs["tag"]) == b"a tag"
    assert base64.b64decode(pairs["sha256"]) == b"a" * 64


def test_bytes_at_the_wrong_place_are_refused(uploader):
    path = begun(uploader)
    uploader.append(path, 0, CONTENT[:MIB])
    for wrong in (0, MIB - 1, MIB + 1):
        answer = uploader.append(path, wrong, b"x")
        assert answer.status == 409, answer
        assert str(MIB) in answer.text
    assert landed(path) == CONTENT[:MIB]


def test_more_than_was_announced_is_refused(uploader):
    path = begun(uploader, 10)
    assert uploader.append(path, 0, b"x" * 11).status == 413
    pieces = iter([b"x" * 6, b"y" * 6])  # its length is not said
    answer = uploader.append(path, 0, pieces)
    assert answer.status == 413, answer
    assert uploader.offset(path) <= 6


def test_a_large_body_that_is_refused_is_answered(uploader):
    path = begun(uploader, 64 * MIB)
    answer = uploader.append(path, 7, bytes(32 * MIB))
    assert answer.status == 409, answer
    assert uploader.offset(path) == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Tus_Resumable": None}, 412),
        ({"Tus_Resumable": "0.2.2"}, 412),
        ({"Content_Type": "application/octet-stream"}, 415),
        ({"Upload_Offset": "-1"}, 400),
        ({"Upload_Offset": "x"}, 400),
        ({"Upload_Offset": None}, 400),
        ({"Upload_Checksum": "md5 1B2M2Y8AsgTpgAmY7PhCfg=="}, 400),
        ({"Upload_Checksum": "sha256 c2hvcnQ="}, 400),
    ],
)
def test_headers_that_are_not_of_the_protocol_are_refused(uploader, headers, status):
    path = begun(uploader)
    answer = uploader.append(path, 0, b"x", **headers)
    assert answer.status == status, answer
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert uploader.offset(path) == 0


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_a_part_with_the_wrong_checksum_is_taken_back_and_no_other(uploader, algorithm):
    path = begun(uploader)
    uploader.append(path, 0, CONTENT[:MIB])
    part = CONTENT[MIB : 2 * MIB]
    wrong = uploader.append(path, MIB, part, Upload_Checksum=checksum(b"other", algorithm))
    assert wrong.status == 460, wrong
    assert uploader.offset(path) == MIB
    assert landed(path) == CONTENT[:MIB]
    right = uploader.append(path, MIB, part, Upload_Checksum=checksum(part, algorithm))
    assert (right.status, right.offset) == (204, 2 * MIB)
    assert landed(path) == CONTENT[: 2 * MIB]


def test_a_proxy_that_passes_posts_alone_can_be_passed(uploader):
    path = begun(uploader, 4)
    answer = uploader.ask(
        "POST", path, b"data", X_HTTP_Method_Override="PATCH", Upload_Offset="0",
        Content_Type="application/offset+octet-stream",
    )  # fmt: skip
    assert answer.status == 204, answer
    assert landed(path) == b"data"


def test_an_upload_can_be_ended(uploader):
    path = begun(uploader)
    uploader.append(path, 0, CONTENT[:MIB])
    assert uploader.ask("DELETE", path).status == 204
    assert volume_at(path).state == VolumeState.CLEARING
    assert uploader.ask("HEAD", path).status == 410
    assert uploader.append(path, MIB, b"x").status == 410
    assert Event.objects.filter(verb="cancel", by__username="alice").count() == 1


# What is in the way ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "status", "sentence"),
    [
        ({"tag": "x" * 41}, 400, "40 characters"),
        ({"visibility": "secret"}, 400, "private, public"),
        ({"type": "FLOPPY"}, 400, "MACHINE_IMAGE_LIVE"),
        ({"format": "docx"}, 400, "qcow2"),
        ({"sha256": "abc"}, 400, "64 hexadecimal"),
        ({"sha1": "g" * 40}, 400, "40 hexadecimal"),
        ({"key": "1"}, 400, "UUID"),
        ({"size": "-5"}, 400, "number of bytes"),
    ],
)
def test_what_makes_no_disk_is_refused_in_words(uploader, said, status, sentence):
    answer = uploader.begin(10, **said)
    assert answer.status == status, answer
    assert sentence in answer.text
    assert not Volume.objects.exists()


def test_an_announcement_without_a_length_is_refused(uploader):
    assert uploader.ask("POST", PATH, Upload_Defer_Length="1").status == 400
    assert uploader.begin(0).status == 400


def test_a_file_that_is_too_large_is_refused_at_once(uploader):
    answer = uploader.begin(uploads.largest_upload() + 1)
    assert answer.status == 413
    assert "1024 GiB at most" in answer.text


def test_the_quota_is_asked_before_the_first_byte(uploader, alice):
    answer = uploader.begin(60 * GIB, size=str(101 * GIB))
    assert answer.status in (403, 507), answer
    assert "quota is 100 GiB" in answer.text or "room" in answer.text
    answer = uploader.begin(1000, size=str(100 * GIB + 1))
    assert answer.status == 403
    assert "Your disk quota is 100 GiB" in answer.text
    begun(uploader, 1000, size=str(100 * GIB))
    assert uploader.begin(1000).status == 403


def test_the_disk_of_the_site_is_not_filled(alice, settings, monkeypatch):
    monkeypatch.setattr(landing, "FLOOR_BYTES", 1 << 60)
    with pytest.raises(uploads.Refused) as refused:
        uploads.begin_upload(owner=alice, parcel=uploads.Parcel(length=10))
    assert refused.value.code == "no_room"
    assert "Try again later" in str(refused.value)


# Who may -----------------------------------------------------------------------------------


def test_strangers_and_administrators_do_not_find_it(server, uploader):
    path = begun(uploader)
    stranger = UserFactory()
    for other in (stranger, UserFactory(admin=True)):
        for answer in (
            Uploader(server, other).ask("HEAD", path),
            Uploader(server, other).append(path, 0, b"x"),
        ):
            assert answer.status == 404
    assert Uploader(server, stranger).ask("DELETE", path).status == 404
    denied = Event.objects.filter(outcome=Outcome.DENIED, by=stranger, subject=volume_at(path).uuid)
    assert {event.verb for event in denied} == {"opened", "upload", "cancel"}
    assert uploader.offset(path) == 0


def test_an_administrator_may_end_it(server, uploader):
    path = begun(uploader)
    assert Uploader(server, UserFactory(admin=True)).ask("DELETE", path).status == 204
    assert volume_at(path).state == VolumeState.CLEARING


def test_nobody_uploads_without_saying_who_they_are(server, uploader):
    path = begun(uploader)
    nobody = Uploader(server)
    for answer in (nobody.begin(10), nobody.ask("HEAD", path), nobody.append(path, 0, b"x")):
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert uploader.offset(path) == 0


def test_a_session_proves_that_a_page_of_ours_asks(server, uploader):
    path = begun(uploader)
    for headers in ({"X_CSRFToken": None}, {"X_CSRFToken": "y" * 32},
                    {"Origin": "https://elsewhere.example"}):  # fmt: skip
        assert uploader.append(path, 0, b"x", **headers).status == 403
        assert uploader.ask("DELETE", path, **headers).status == 403
        assert uploader.ask("POST", PATH, Upload_Length="5", **headers).status == 403
    assert (
        uploader.ask("GET", path, X_HTTP_Method_Override="DELETE", X_CSRFToken=None).status == 403
    )
    assert uploader.offset(path) == 0
    assert Volume.objects.count() == 1
    home = f"http://127.0.0.1:{server.port}"
    assert uploader.append(path, 0, b"x", Origin=home).status == 204


def test_a_token_that_writes_uploads_and_one_that_reads_looks(server, alice):
    program = Uploader(server, token=token_of(alice))
    path = begun(program)
    assert program.append(path, 0, CONTENT[:MIB]).status == 204
    reader = Uploader(server, token=token_of(alice, Scope.READ))
    assert reader.offset(path) == MIB
    for answer in (reader.append(path, MIB, b"x"), reader.begin(5), reader.ask("DELETE", path)):
        assert answer.status == 403
        assert "may only read" in answer.text
    assert Uploader(server, token="slp_nothing").begin(5).status == 401
    asked = Event.objects.get(verb="upload", subject=volume_at(path).uuid)
    assert (asked.door, asked.by, asked.address) == ("api", alice, "127.0.0.1")


def test_no_gate_is_passed_by(server, alice):
    uploader = Uploader(server, alice)
    program = Uploader(server, token=token_of(alice))
    path = begun(uploader)
    latest = Policy.objects.order_by("-version").first()
    Policy.objects.create(
        version=(latest.version if latest else 1) + 1, text="New rules.",
        published_at=timezone.now(),
    )  # fmt: skip
    for who in (uploader, program):
        for answer in (who.append(path, 0, b"x"), who.ask("HEAD", path), who.begin(5)):
            assert answer.status == 403
            assert answer.headers["Tus-Resumable"] == "1.0.0"


def test_an_account_that_is_suspended_stops_in_the_middle(server, alice):
    uploader = Uploader(server, token=token_of(alice))
    path = begun(uploader, 200 * MIB)
    with uploader.appending(path, 0, 200 * MIB) as line:
        line.sendall(CONTENT)
        wait_for(lambda: landing.received_bytes(volume_at(path)) == len(CONTENT))
        type(alice).objects.filter(pk=alice.pk).update(state="suspended")
        answer = _trickle(line)
    assert b" 403 " in answer
    assert b"no longer" in answer


def _trickle(line: socket.socket) -> bytes:
    """Bytes now and then until there is an answer."""
    deadline = time.monotonic() + 20
    line.settimeout(0.2)
    while time.monotonic() < deadline:
        try:
            line.sendall(b"x" * 1000)
            return line.recv(4096) + _rest(line)
        except TimeoutError:
            continue
        except OSError:
            return b""
    return b""


def _rest(line: socket.socket) -> bytes:
    """What else is said: head and body of an answer come as they like."""
    line.settimeout(5)
    said = b""
    with contextlib.suppress(OSError):
        while more := line.recv(4096):
            said += more
    return said


# What breaks -------------------------------------------------------------------------------


def test_a_cut_connection_keeps_what_came(uploader):
    path = begun(uploader)
    with uploader.appending(path, 0, len(CONTENT)) as line:
        line.sendall(CONTENT[: 2 * MIB])
        wait_for(lambda: landing.received_bytes(volume_at(path)) == 2 * MIB)
    wait_for(lambda: volume_at(path).bytes_done == 2 * MIB)
    assert uploader.offset(path) == 2 * MIB
    assert uploader.append(path, 2 * MIB, CONTENT[2 * MIB :]).status == 204
    assert landed(path) == CONTENT


def test_a_cut_part_with_a_checksum_is_not_kept(uploader):
    path = begun(uploader)
    uploader.append(path, 0, CONTENT[:MIB])
    uploader.proof["Upload-Checksum"] = checksum(CONTENT[MIB:])
    with uploader.appending(path, MIB, 2 * MIB) as line:
        line.sendall(CONTENT[MIB : 2 * MIB])
        wait_for(lambda: landing.received_bytes(volume_at(path)) == 2 * MIB)
        assert appending.offset(volume_at(path)) == MIB
    wait_for(lambda: landing.received_bytes(volume_at(path)) == MIB)
    # The connection that was cut lets go of the file in a moment.
    wait_for(lambda: uploader.append(path, MIB, CONTENT[MIB:]).status == 204)
    assert landed(path) == CONTENT


@pytest.mark.parametrize("has_checksum", [False, True])
def test_a_killed_web_process_keeps_what_came(server, uploader, has_checksum):
    path = begun(uploader)
    uploader.append(path, 0, CONTENT[:MIB])
    if has_checksum:
        uploader.proof["Upload-Checksum"] = checksum(CONTENT[MIB:])
    with uploader.appending(path, MIB, 2 * MIB) as line:
        line.sendall(CONTENT[MIB : 2 * MIB])
        wait_for(lambda: landing.received_bytes(volume_at(path)) == 2 * MIB)
        server.end(signal.SIGKILL)
    server.start()
    at = MIB if has_checksum else 2 * MIB  # what was not checked does not count
    assert step(path).bytes_done == at
    assert uploader.offset(path) == at
    assert uploader.append(path, at, CONTENT[at:]).status == 204
    assert landed(path) == CONTENT


def test_a_web_process_that_is_killed_after_the_last_byte_is_not_missed(server, uploader, cloud):
    path = begun(uploader)
    with uploader.appending(path, 0, len(CONTENT) + 1) as line:  # never complete for the server
        line.close()
    landing.make(volume_at(path)).write_bytes(CONTENT)
    server.end(signal.SIGKILL)
    assert step(path).state == VolumeState.CHECKING


def test_two_never_write_at_once(uploader):
    path = begun(uploader)
    with uploader.appending(path, 0, len(CONTENT)) as line:
        line.sendall(CONTENT[:MIB])
        wait_for(lambda: landing.received_bytes(volume_at(path)) == MIB)
        second = uploader.append(path, MIB, CONTENT[MIB:])
        assert second.status == 423, second
        assert uploader.offset(path) == MIB
    wait_for(lambda: uploader.append(path, MIB, CONTENT[MIB:]).status == 204)
    assert landed(path) == CONTENT


def test_an_upload_that_is_cancelled_in_the_middle_stops(uploader, alice, cloud):
    path = begun(uploader, 200 * MIB)
    with uploader.appending(path, 0, 200 * MIB) as line:
        line.sendall(CONTENT)
        wait_for(lambda: landing.received_bytes(volume_at(path)) == len(CONTENT))
        making.cancel(volume_at(path), by=alice)
        answer = _trickle(line)
    assert b" 410 " in answer


def test_an_upload_that_nobody_goes_on_with_ends(uploader, cloud, settings):
    path = begun(uploader)
    uploader.append(path, 0, CONTENT[:MIB])
    nearly = timezone.now() + timedelta(hours=settings.PORTAL_UPLOAD_HOURS - 1)
    with time_machine.travel(nearly, tick=False):
        assert step(path).state == VolumeState.UPLOADING
        uploads.note_bytes(volume_at(path).pk, MIB)  # a byte came: the time begins anew
    with time_machine.travel(nearly + timedelta(hours=2), tick=False):
        assert step(path).state == VolumeState.UPLOADING
    with time_machine.travel(nearly + timedelta(hours=settings.PORTAL_UPLOAD_HOURS), tick=False):
        volume = step(path)
        assert volume.state == VolumeState.CLEARING
        assert "Nobody went on with the upload" in volume.reason


def test_bytes_that_come_too_late_are_refused(uploader):
    path = begun(uploader)
    volume = volume_at(path)
    volume.arrival.expires_at = timezone.now() - timedelta(seconds=1)
    volume.arrival.save()
    assert uploader.ask("HEAD", path).status == 410
    assert uploader.append(path, 0, b"x").status == 410


def test_memory_stays_flat_whatever_the_size(server, uploader):
    size = 400 * MIB
    path = begun(uploader, size)
    before = server.rss_bytes()
    most = 0

    def pieces():
        nonlocal most
        for number in range(size // MIB):
            if number % 16 == 0:
                most = max(most, server.rss_bytes())
            yield CONTENT[:MIB]

    answer = uploader.append(path, 0, pieces(), Content_Length=str(size))
    assert (answer.status, answer.offset) == (204, size)
    assert most - before < 60 * MIB
