"""The same order, sent twice at once, is one machine."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from marketplace.tests.factories import EntryFactory
from registration.tests.factories import UserFactory
from vms import actions
from vms.models import VM

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]

ROUNDS = 5


@pytest.mark.usefixtures("redis_server")
def test_two_identical_launches_at_once_are_one_machine_and_count_once():
    entry = EntryFactory()
    for _ in range(ROUNDS):
        alice = UserFactory(quota_machines=1)
        order = actions.Order(
            entry=entry, name="web", type_name="m1.small", vcpus=1, memory_mib=512,
            launch_key=uuid.uuid4(),
        )  # fmt: skip
        start = threading.Barrier(2)

        def launch(_, start=start, alice=alice, order=order):
            try:
                start.wait()
                return actions.launch(owner=alice, order=order).pk
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(launch, range(2))
        assert first == second
        assert VM.objects.filter(owner=alice).count() == 1
