"""Uploads by the lines that the page has people run in a terminal."""

import random
import subprocess

import pytest
from django.test import Client
from django.urls import reverse

from registration.models import Scope
from registration.tests.factories import UserFactory
from volumes import landing
from volumes.models import Volume
from volumes.tests.uploading import Server, token_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_server"),
    pytest.mark.slow,
]

CONTENT = random.Random(4).randbytes(3 << 20)


@pytest.fixture
def server(tmp_path, settings, db):
    settings.PORTAL_ARRIVALS = tmp_path / "arrivals"
    settings.PORTAL_ARRIVALS.mkdir()
    server = Server(settings.PORTAL_ARRIVALS)
    server.start()
    yield server
    server.end()


@pytest.fixture
def alice():
    return UserFactory(username="alice")


def lines_of(server, owner):
    """What the page has people run: who, which, announce, send, go on."""
    client = Client()
    client.force_login(owner)
    page = client.get(reverse("volumes:upload"), HTTP_HOST=f"127.0.0.1:{server.port}")
    return [step["lines"] for step in page.context["recipe"]]


def in_bash(tmp_path, token, *lines, options=()):
    (tmp_path / "data.img").write_bytes(CONTENT)
    return subprocess.run(
        ["bash", *options, "-c", "\n".join(lines)],
        input=token.encode() + b"\n", cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip


def test_the_lines_for_a_terminal_upload_and_go_on(server, alice, tmp_path):
    who, which, announce, send, go_on = lines_of(server, alice)
    breaks = (
        'head -c 1000000 data.img > half.img; curl -X PATCH "${AUTH[@]}" -T half.img '
        + (send.partition('-T "$FILE"')[2])
    )
    said = in_bash(
        tmp_path, token_of(alice), who, which, announce, breaks, go_on, "echo $LOCATION",
        options=("-euo", "pipefail"),
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    volume = Volume.objects.get()
    assert said.stdout.decode().strip().endswith(str(volume.uuid))
    assert volume.tag == "data"
    assert landing.received(volume).read_bytes() == CONTENT


def test_the_lines_for_a_terminal_say_why_a_token_does_not_do(server, alice, tmp_path):
    who, which, announce, send, go_on = lines_of(server, alice)
    for token, why in [
        ("slp_of-nobody", b"401"), (token_of(alice, Scope.READ), b"403"),
    ]:  # fmt: skip
        for then in (send, go_on):
            said = in_bash(tmp_path, token, who, which, announce, then)
            assert said.returncode != 0
            assert why in said.stdout.splitlines()[0]
            assert b"token" in said.stdout
            assert b"no upload has begun" in said.stderr
            assert b"<html" not in said.stdout
    assert not Volume.objects.exists()


def test_the_lines_for_a_terminal_say_that_an_upload_is_gone(server, alice, tmp_path):
    who, which, _, _, go_on = lines_of(server, alice)
    gone = "LOCATION=/volumes/uploads/6f1f6f3e-3d39-4f0b-9a55-0b9e0b5f2c11"
    said = in_bash(tmp_path, token_of(alice), who, which, gone, go_on)
    assert said.returncode != 0
    assert b"404" in said.stdout
    assert b"the upload is not there" in said.stderr
