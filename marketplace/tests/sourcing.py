"""Other catalogues for tests: a server, and what it lists."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from core.machine import tick
from core.tests.webserver import Server, says
from marketplace.lifecycle import SOURCE_STEPS
from marketplace.models import Source
from marketplace.states import SourceKind, SourceState

INDEX = {"index": {"i": {"datatype": "image-downloads", "format": "products:1.0",
                         "path": "streams/v1/images.json"}}}  # fmt: skip


@pytest.fixture
def server(settings):
    settings.PORTAL_FETCH_NETWORKS = ["127.0.0.0/8"]
    one = Server()
    settings.PORTAL_FETCH_PORTS = [one.http.server_port]
    yield one
    one.close()


@pytest.fixture
def source(server, cloud) -> Source:
    return source_at(server.url("/"))


def source_at(url: str, kind: str = SourceKind.SIMPLESTREAMS, **more) -> Source:
    more = {"name": f"Images {Source.objects.count()}", **more}
    return Source.objects.create(
        kind=kind, url=url, cloud="local", state=SourceState.IMPORTING,
        next_tick_at=timezone.now(), due_at=timezone.now() + timedelta(hours=24), **more,
    )  # fmt: skip


def serve(server: Server, products) -> None:
    server.answers["/streams/v1/index.json"] = says(200, json.dumps(INDEX).encode())
    listed = json.dumps({"products": products}).encode()
    server.answers["/streams/v1/images.json"] = says(200, listed)


def product(version="20260321", sha="1" * 64, arch="amd64", folder="x", **more):
    item = {"ftype": "disk1.img", "sha256": sha, "size": 7, "path": f"{folder}/{version}.img"}
    return {
        "os": "ubuntu", "version": "24.04", "release_title": "24.04 LTS", "arch": arch,
        "support_eol": "2099-05-31", "supported": True,
        "versions": {version: {"items": {"disk1.img": item}}}, **more,
    }  # fmt: skip


def run(source: Source) -> Source:
    Source.objects.filter(pk=source.pk).update(
        state=SourceState.IMPORTING, next_tick_at=timezone.now(), lease_until=None
    )
    tick(Source.objects.get(pk=source.pk), SOURCE_STEPS, is_long=False)
    return Source.objects.get(pk=source.pk)
