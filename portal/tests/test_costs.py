"""What must not grow with the number of machines: queries of a page, calls to an engine."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from bench.calls import put_at_rest, simulate
from bench.paths import paths, subject
from registration.tests.factories import UserFactory

CALLS_PER_MINUTE = 12

pytestmark = pytest.mark.django_db


def queries(client, vm) -> dict[str, int]:
    """How many queries each page takes, by its name."""
    found = {}
    for name, path in paths(vm).items():
        with CaptureQueriesContext(connection) as asked:
            assert client.get(path).status_code == 200, path
        found[name] = len(asked)
    return found


@pytest.mark.parametrize("is_admin", [True, False], ids=["administrator", "owner"])
def test_no_page_takes_more_queries_when_there_are_more_machines(client, is_admin):
    counts = []
    for number in (6, 48):
        call_command("seed_demo", machines=number, entries=number, stdout=StringIO())
        vm = subject()
        client.force_login(UserFactory(admin=True) if is_admin else vm.owner)
        counts.append(queries(client, vm))
    few, many = counts
    # A kind of image that only the larger catalogue has may cost a question of its own.
    grown = {name: (few[name], asked) for name, asked in many.items() if asked > few[name] + 1}
    assert not grown
    assert max(many.values()) <= 24


@pytest.mark.slow
def test_an_engine_at_rest_is_asked_seldom_however_many_machines_it_has(cloud):
    counts = []
    for more in (5, 45):
        put_at_rest(cloud, more)
        counts.append(simulate(cloud, minutes=1))
    assert counts[0] == counts[1]
    assert counts[0].total() <= CALLS_PER_MINUTE, counts[0]
