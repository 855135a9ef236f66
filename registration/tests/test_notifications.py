"""What people are told, and how."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from core.errors import Refused
from registration import actions
from registration.models import Notification, OutgoingMail
from registration.notices import NOTICES, Mail

pytestmark = pytest.mark.django_db


def tell(user, kind="machine_ready", **more):
    with transaction.atomic():
        return actions.notify(user, kind, sentence="The machine web-1 is ready.", **more)


def test_a_notification_is_told_once_and_to_its_person_alone(alice):
    note = tell(alice, url="/vms/", about=alice, boots=1)
    assert list(Notification.objects.visible_to(alice)) == [note]
    assert (note.about_kind, note.about, note.data) == ("account", alice.uuid, {"boots": 1})
    assert not OutgoingMail.objects.exists()  # nobody asked for this kind by mail


def test_what_is_rolled_back_was_never_told(alice):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        actions.notify(alice, "lease_ending", sentence="Its lease ends.")
        1 / 0  # noqa: B018
    assert not Notification.objects.exists()
    assert not OutgoingMail.objects.exists()
