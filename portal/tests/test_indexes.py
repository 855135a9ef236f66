"""Names are looked up by their indexes, whatever their letter case."""

import pytest
from django.db import connection

from portal.trail import people_named
from registration.models import Group, User, same
from registration.tests.factories import GroupFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def plan():
    """What SQLite does for a query; PostgreSQL reads a small table whole, index or not."""
    if connection.vendor != "sqlite":
        pytest.skip("SQLite's plans are looked at")
    return lambda rows: rows.explain()


@pytest.mark.parametrize("rows", [
    lambda: User.objects.holding(username="Alice"),
    lambda: User.objects.holding(email="Alice@example.org"),
    lambda: User.objects.holding(username="Alice", email="Alice@example.org"),
    lambda: User.objects.filter(same("email", "Alice@example.org")),
    lambda: User.objects.filter(same("username", "x") | same("email", "x")),
    lambda: Group.objects.filter(same("name", "Pulsars")),
])  # fmt: skip
def test_no_look_up_reads_a_whole_table(plan, rows):
    said = plan(rows().order_by())
    assert "SCAN" not in said, said
    assert "USING INDEX" in said, said


@pytest.mark.parametrize("login", ["alice", "alice@example.org"])
def test_the_sign_in_reads_no_whole_table(plan, login, django_assert_num_queries):
    with django_assert_num_queries(1) as queries:
        User.objects.named(login)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {queries[0]['sql']}")
        said = str(cursor.fetchall())
    assert "SCAN" not in said, said


def test_letter_case_does_not_matter():
    alice = UserFactory(username="alice")
    assert User.objects.named("ALICE") == User.objects.named("Alice@Example.org") == alice
    assert people_named("ALICE") == [alice]
    assert list(User.objects.holding(username="aLice")) == [alice]


def test_a_name_beyond_ascii_is_found_as_it_is_written():
    group = GroupFactory(name="École")
    assert Group.objects.get(same("name", "École")) == group
    UserFactory()
