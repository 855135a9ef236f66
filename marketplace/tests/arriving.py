"""Images on their way here, for tests: a server that has them, and steps by hand."""

import hashlib
from pathlib import Path

import pytest
from django.utils import timezone

from core.tests.webserver import Server, says
from marketplace import actions, arrivals, tasks
from marketplace.models import ImageFile
from marketplace.states import ImageState
from marketplace.tests.factories import EntryFactory

MIB = 1 << 20


RAW = (b"\xeb\x3c\x90 boots, or not".ljust(510, b"\0") + b"\x55\xaa").ljust(MIB, b"d")


@pytest.fixture
def server(settings, tmp_path, home):
    settings.PORTAL_IMAGE_ARRIVALS = tmp_path / "image-arrivals"
    settings.PORTAL_FETCH_NETWORKS = ["127.0.0.0/8"]
    one = Server()
    settings.PORTAL_FETCH_PORTS = [one.http.server_port]
    yield one
    one.close()


@pytest.fixture
def landing(server, tmp_path):
    """What is on the whole disk, before and after: nothing but the landing place changes."""
    before = _files(tmp_path)
    yield tmp_path / "image-arrivals"
    place = tmp_path / "image-arrivals"
    assert {path for path in _files(tmp_path) - before if place not in path.parents} == set()


def _files(place: Path) -> set[Path]:
    return {path for path in place.rglob("*") if path.is_file()}


def an_entry(server, *paths, content=RAW, **more):
    more = {"format": "raw", "is_kept_here": False, "md5": hashlib.md5(content).hexdigest()} | more  # noqa: S324
    locations = more.pop("locations", [server.url(path) for path in paths])
    return EntryFactory(content=content, locations=locations, **more)


def serving(content, *, etag='"v1"'):
    """A file of one version, that can be asked for from anywhere."""

    def answer(request):
        begins = int(request.headers.get("Range", "bytes=0-")[6:-1])
        if not begins or request.headers.get("If-Range") != etag:
            return says(200, content, etag=etag)(request)
        span = f"bytes {begins}-{len(content) - 1}/{len(content)}"
        return says(206, content[begins:], content_range=span, etag=etag)(request)

    return answer


def step(image):
    ImageFile.objects.filter(pk=image.pk, next_tick_at__isnull=False).update(
        next_tick_at=timezone.now(), lease_until=None
    )
    tasks.tick_image(image.pk)
    image.refresh_from_db()
    return image.state


def bring(entry, **more):
    """The whole way, until it is at rest."""
    image = actions.ensure_image(entry, "local", **more)
    for _ in range(12):
        if not image.is_moving:
            return image
        step(image)
    raise AssertionError(f"It is still {image.state}: {image.reason}")


def nothing_is_left(image):
    assert list(arrivals.landed()) == []
    assert image.state == ImageState.FAILED
