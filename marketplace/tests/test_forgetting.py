"""What was answered long ago is not kept."""

from datetime import timedelta

import pytest
from django.utils import timezone

from marketplace.lifecycle.forgetting import BYTES_FOR, ROWS_FOR
from marketplace.models import DocumentArrival, Pending
from marketplace.states import ArrivalState, PendingState
from marketplace.tasks import tidy
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def waiting(state: str, age: timedelta) -> Pending:
    now = timezone.now()
    return Pending.objects.create(
        state=state, state_since=now - age, xml=b"<a/>", email="alice@example.org",
        identifier="A" * 27, endorsed_at=now, token_hash="",
    )  # fmt: skip


def fetched(state: str, age: timedelta) -> DocumentArrival:
    return DocumentArrival.objects.create(
        state=state, state_since=timezone.now() - age, xml=b"<a/>", owner=UserFactory(),
        cloud="local", url="https://example.org/a.xml",
    )  # fmt: skip


def test_the_bytes_of_what_was_answered_go_after_a_month():
    rows = [
        waiting(PendingState.REFUSED, BYTES_FOR + DAY),
        fetched(ArrivalState.FAILED, BYTES_FOR + DAY),
        waiting(PendingState.REFUSED, BYTES_FOR - DAY),
        waiting(PendingState.WAITING, BYTES_FOR + DAY),
        fetched(ArrivalState.FAILED, BYTES_FOR - DAY),
    ]
    tidy()
    for row in rows:
        row.refresh_from_db()
    assert [bool(row.xml) for row in rows] == [False, False, True, True, True]


def test_the_rows_go_after_three_months():
    waiting(PendingState.LAPSED, ROWS_FOR + DAY)
    fetched(ArrivalState.DONE, ROWS_FOR + DAY)
    stays = (
        waiting(PendingState.REPORTED, ROWS_FOR - DAY),
        waiting(PendingState.WAITING, ROWS_FOR + DAY),
    )
    tidy()
    assert set(Pending.objects.all()) == set(stays)
    assert not DocumentArrival.objects.exists()
