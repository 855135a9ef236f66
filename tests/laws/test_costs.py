"""A list costs as many queries for thirty rows as for two."""

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.models import record
from marketplace.tests.factories import EntryFactory
from registration.actions import ask_for_more, reject
from registration.models import ApprovalRule, OutgoingMail, Policy
from registration.tests.factories import (
    ApiTokenFactory,
    MembershipFactory,
    SshKeyFactory,
    UserFactory,
)
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


def waiting(admin, number):
    ApprovalRule.objects.get_or_create(pattern="example.org", created_by=admin, is_enabled=False)
    for _ in range(number):
        user = UserFactory(confirmed=True)
        reject(user, by=admin, reason="No.")
        UserFactory(confirmed=True, email=user.email)


def rules(admin, number):
    for _ in range(number):
        user = UserFactory(confirmed=True)
        ApprovalRule.objects.create(pattern=f"{user.username}.example.org", created_by=admin)


def wishes(admin, number):
    for _ in range(number):
        ask_for_more(UserFactory(), limits={"machines": 500}, message="A course.")


def undelivered(admin, number):
    for _ in range(number):
        OutgoingMail.objects.create(kind="received", to="a@example.org", error="550 gone")


def policies(admin, number):
    first = Policy.objects.order_by("-version").first().version + 1
    for version in range(first, first + number):
        Policy.objects.create(version=version, text="Be kind.", published_by=UserFactory())
        UserFactory(policy_version=version)
    admin.policy_version = version
    admin.save()


def events(admin, number):
    for _ in range(number):
        record("vm", VMFactory().uuid, "asked", by=UserFactory())


def own_machines(admin, number):
    VMFactory.create_batch(number, owner=admin, running=True)


def keys(admin, number):
    SshKeyFactory.create_batch(number, owner=admin)


def tokens(admin, number):
    ApiTokenFactory.create_batch(number, owner=admin)
    ApiTokenFactory.create_batch(number, owner=admin, is_expired=True)


def groups(admin, number):
    MembershipFactory.create_batch(number, user=admin)


def full_quotas(admin, number):
    for _ in range(number):
        VMFactory.create_batch(4, owner=UserFactory())


@pytest.mark.parametrize(
    ("path", "fill"),
    [
        ("/", own_machines),
        ("/vms/", machines),
        ("/vms/?state=all&sort=name&q=machine", machines),
        ("/marketplace/", images),
        ("/registrations/?state=all", applicants),
        ("/registrations/", waiting),
        ("/registrations/rules/", rules),
        ("/registrations/wishes/", wishes),
        ("/mails/undelivered/", undelivered),
        ("/policies/", policies),
        ("/policies/versions/", policies),
        ("/policies/versions/missing/", policies),
        ("/audit/", events),
        ("/audit/?who=nobody", events),
        ("/profile/activity/", events),
        ("/profile/keys/", keys),
        ("/profile/tokens/", tokens),
        ("/groups/", groups),
        ("/groups/?all=1", groups),
        ("/users/", machines),
        ("/users/?sort=-machines&only=near_quota&q=user", full_quotas),
        ("/users/{admin}/", own_machines),
        ("/users/{admin}/", keys),
        ("/users/{admin}/", groups),
        ("/users/{admin}/close/", own_machines),
        ("/usage/", machines),
        ("/profile/usage/", own_machines),
        ("/admin/vms/vm/", machines),
        ("/admin/core/event/", events),
    ],
)
def test_a_list_costs_the_same_for_two_rows_and_for_thirty(client, admin, path, fill):
    client.force_login(admin)
    counts = []
    for number in (FEW, MANY - FEW):
        with time_machine.travel(timezone.now() - timedelta(hours=1)):
            fill(admin, number)  # what was there for no second was not used
        with CaptureQueriesContext(connection) as queries:
            assert client.get(path.format(admin=admin.uuid)).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1], path
