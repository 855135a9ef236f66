"""Files of images that the site keeps are given to whoever may see them, whole or in parts."""

from datetime import timedelta

import pytest
import time_machine
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from marketplace.models import Entry
from marketplace.states import ImageState, Visibility
from marketplace.tests.factories import EntryFactory, ImageFileFactory

pytestmark = pytest.mark.django_db


def body(answer) -> bytes:
    return b"".join(answer.streaming_content)


def test_everybody_gets_the_file_of_a_public_image(client, entry):
    answer = client.get(reverse("marketplace:file", args=[entry.identifier]))
    assert answer.status_code == 200
    assert body(answer) == entry.site_file.read_bytes()
    assert entry.file_name in answer.headers["content-disposition"]
    assert answer.headers["etag"] == f'"{entry.sha256}"'


def test_a_part_is_what_a_broken_download_needs(client, entry):
    where = reverse("marketplace:file", args=[entry.identifier])
    answer = client.get(where, headers={"range": "bytes=10-19"})
    assert answer.status_code == 206
    assert body(answer) == entry.site_file.read_bytes()[10:20]
    head = client.head(where)
    assert int(head.headers["content-length"]) == entry.size_bytes


def test_who_may_not_see_it_gets_nothing(client, entry, alice, bob):
    Entry.objects.filter(pk=entry.pk).update(
        visibility=Visibility.PRIVATE, owner=alice, is_official=False
    )
    where = reverse("marketplace:file", args=[entry.identifier])
    assert client.get(where).status_code == 404
    client.force_login(bob)
    assert client.get(where).status_code == 404
    client.force_login(alice)
    answer = client.get(where)
    assert answer.status_code == 200
    answer.close()


def test_a_file_that_is_elsewhere_or_gone_is_not_there(client, entry):
    other = EntryFactory(is_kept_here=False, locations=["https://example.org/x"])
    assert client.get(reverse("marketplace:file", args=[other.identifier])).status_code == 404
    entry.site_file.unlink()
    assert client.get(reverse("marketplace:file", args=[entry.identifier])).status_code == 404


def test_how_fast_it_comes_and_how_long_it_takes_is_told():
    image = ImageFileFactory(state=ImageState.FETCHING, bytes_done=10 << 20, bytes_total=70 << 20)
    with time_machine.travel(image.state_since + timedelta(seconds=10), tick=False):
        said = render_to_string("marketplace/_copy.html", {"image": image})
    assert "Fetching" in said
    assert "1 MiB/s, 1 min left" in said
    image.state_since = timezone.now()
    assert " left" not in render_to_string("marketplace/_copy.html", {"image": image})
