"""Launches and sizes are counted, each of them, also at the same moment."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from marketplace.actions import note_launch, note_tested
from marketplace.models import TestedSize, Use
from marketplace.tests.factories import EntryFactory
from registration.tests.factories import UserFactory


@pytest.mark.django_db
def test_launches_are_counted_by_person():
    entry, alice, bob = EntryFactory(), UserFactory(), UserFactory()
    for user in (alice, alice, bob):
        note_launch(entry, user)
    counted = dict(Use.objects.values_list("user", "launches"))
    assert counted == {alice.pk: 2, bob.pk: 1}


@pytest.mark.django_db
def test_sizes_are_counted_by_their_numbers():
    entry = EntryFactory()
    for memory_mib in (512, 512, 1024):
        note_tested(entry, "small", 1, memory_mib)
    assert dict(TestedSize.objects.values_list("memory_mib", "times")) == {512: 2, 1024: 1}


@pytest.mark.at_once
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_of_several_at_once_each_counts():
    entry, user = EntryFactory(), UserFactory()

    def use(_: int) -> None:
        try:
            note_launch(entry, user)
            note_tested(entry, "small", 1, 512)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(12)))
    assert Use.objects.get().launches == 12
    assert TestedSize.objects.get().times == 12
