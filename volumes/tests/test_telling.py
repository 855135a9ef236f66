"""What owners of disks are told of files that come in."""

import pytest

from registration.models import Notification
from registration.tests.factories import UserFactory
from volumes.models import Volume
from volumes.states import VolumeState
from volumes.tests.factories import VolumeFactory

pytestmark = pytest.mark.django_db


def coming(state=VolumeState.CONVERTING):
    return VolumeFactory(tag="spectra", state=state, owner=UserFactory())


def told(volume: Volume):
    return list(Notification.objects.filter(owner=volume.owner).values_list("sentence", "data"))


def test_a_file_was_taken_in():
    volume = coming()
    volume.move(VolumeState.AVAILABLE)
    assert told(volume) == [
        ("The disk spectra is ready: its file was taken in.", {"failed": False})
    ]


def test_a_file_was_not_taken_in_and_why():
    volume = coming(VolumeState.FETCHING)
    volume.move(VolumeState.CLEARING, reason="The server answers 404.")
    volume.move(VolumeState.FAILED, reason="The server answers 404.")
    sentence = "The disk spectra could not be made: The server answers 404."
    assert told(volume) == [(sentence, {"failed": True})]


def test_cancelling_is_no_news():
    volume = coming()
    volume.move(VolumeState.CLEARING, by=volume.owner)
    assert told(volume) == []


def test_an_empty_disk_is_no_news():
    volume = coming(VolumeState.CREATING)
    volume.move(VolumeState.AVAILABLE)
    assert told(volume) == []
