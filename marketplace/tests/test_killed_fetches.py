"""A worker that fetches an image may die at any moment: nothing is lost, and nothing done twice."""

import gzip
import os
from uuid import uuid4

import pytest
from django.utils import timezone

from cloud.errors import CloudFull
from core.machine import StaleState
from marketplace import actions, arrivals, tasks
from marketplace.lifecycle.images import fetching
from marketplace.models import ImageFile
from marketplace.states import ImageState
from marketplace.tests.arriving import MIB, RAW, an_entry, bring, server, serving, step

__all__ = ["server"]
pytestmark = pytest.mark.django_db

S = ImageState


class TestKilled:
    """What a worker leaves, the next goes on with, or does anew."""

    def test_after_the_last_byte_nothing_is_fetched_twice(self, server, cloud):
        server.answers["/disk"] = serving(RAW)
        image = actions.ensure_image(an_entry(server, "/disk"), "local")
        step(image)
        arrivals.make(image.uuid).write_bytes(RAW)
        ImageFile.objects.filter(pk=image.pk).update(validator='"v1"', bytes_total=MIB)
        assert [step(image) for _ in range(3)] == [S.CHECKING, S.COPYING, S.READY]
        assert server.asked == []

    def test_a_file_of_which_nobody_knows_the_version_is_begun_anew(self, server, cloud):
        server.answers["/disk"] = serving(RAW, etag="")
        image = actions.ensure_image(an_entry(server, "/disk"), "local")
        step(image)
        arrivals.make(image.uuid).write_bytes(b"half of it")
        assert [step(image) for _ in range(3)] == [S.CHECKING, S.COPYING, S.READY]

    @pytest.mark.parametrize("state", [S.CHECKING, S.UNPACKING, S.COPYING])
    def test_a_file_that_is_gone_is_fetched_again(self, server, cloud, state):
        server.answers["/disk.gz"] = serving(gzip.compress(RAW))
        image = actions.ensure_image(an_entry(server, "/disk.gz"), "local")
        while image.state != state:
            step(image)
        arrivals.remove(image.uuid)
        assert step(image) == S.FETCHING
        assert bring(image.entry).state == S.READY
        assert len(server.asked) == 2

    def test_half_an_unpacked_file_is_written_anew(self, server, cloud):
        server.answers["/disk.gz"] = serving(gzip.compress(RAW))
        image = actions.ensure_image(an_entry(server, "/disk.gz"), "local")
        while image.state != S.UNPACKING:
            step(image)
        arrivals.unpacked(image.uuid).with_name("disk.raw.part-dead").write_bytes(b"half")
        assert step(image) == S.COPYING
        assert {path.name for path in arrivals.folder(image.uuid).iterdir()} == {"file", "disk.raw"}

    def test_after_the_copy_was_made_it_is_ready(self, server, cloud):
        server.answers["/disk"] = serving(RAW)
        image = actions.ensure_image(an_entry(server, "/disk"), "local")
        while image.state != S.COPYING:
            step(image)
        cloud.lose_next_answer()
        assert step(image) == S.COPYING
        assert step(image) == S.READY
        assert list(arrivals.landed()) == []

    def test_who_lost_the_lease_touches_nothing(self, server, cloud):
        server.answers["/disk"] = serving(RAW)
        image = actions.ensure_image(an_entry(server, "/disk"), "local")
        step(image)
        arrivals.make(image.uuid).write_bytes(b"of another worker")
        late = ImageFile.objects.get(pk=image.pk)
        ImageFile.objects.filter(pk=image.pk).update(lease_until=timezone.now())
        with pytest.raises(StaleState):
            fetching.bring(late, cloud)
        assert arrivals.received(image.uuid).read_bytes() == b"of another worker"

    def test_stray_files_go_and_those_on_their_way_stay(self, server, cloud):
        image = actions.ensure_image(an_entry(server, "/disk"), "local")
        mine = arrivals.make(image.uuid)
        mine.write_bytes(b"half")
        arrivals.make(uuid4()).write_bytes(b"stray")
        foreign = arrivals.folder(image.uuid).with_name("not-ours")
        foreign.mkdir()
        tasks.tidy()
        assert sorted(os.listdir(foreign.parent)) == sorted([str(image.uuid), "not-ours"])

    def test_a_full_engine_is_waited_for(self, server, cloud):
        server.answers["/disk"] = serving(RAW)
        image = actions.ensure_image(an_entry(server, "/disk"), "local")
        while image.state != S.COPYING:
            step(image)
        cloud.fail_next(CloudFull("The site's disk is full."))
        assert step(image) == S.COPYING
        assert step(image) == S.READY
