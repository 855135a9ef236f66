"""A list costs as many queries for thirty rows as for two."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.models import record
from marketplace.tests.factories import EntryFactory
from registration.tests.factories import SshKeyFactory, UserFactory
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db

FEW, MANY = 2, 30


@pytest.fixture
def admin():
    return UserFactory(admin=True)


def machines(admin, number):
    for _ in range(number):
        VMFactory(running=True)


def images(admin, number):
    EntryFactory.create_batch(number)


def applicants(admin, number):
    for _ in range(number):
        user = UserFactory(applied=True)
        record("account", user.uuid, "registered", by=user)


def events(admin, number):
    for _ in range(number):
        record("vm", VMFactory().uuid, "asked", by=UserFactory())


def own_machines(admin, number):
    VMFactory.create_batch(number, owner=admin, running=True)


def keys(admin, number):
    SshKeyFactory.create_batch(number, owner=admin)


@pytest.mark.parametrize(
    ("path", "fill"),
    [
        ("/", own_machines),
        ("/vms/", machines),
        ("/vms/?state=all&sort=name&q=machine", machines),
        ("/marketplace/", images),
        ("/registrations/", applicants),
        ("/audit/", events),
        ("/profile/keys/", keys),
    ],
)
def test_a_list_costs_the_same_for_two_rows_and_for_thirty(client, admin, path, fill):
    client.force_login(admin)
    counts = []
    for number in (FEW, MANY - FEW):
        fill(admin, number)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(path).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1], path
