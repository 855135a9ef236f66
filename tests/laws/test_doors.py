"""Laws of every URL: who gets in, what a look may change, and what each answer carries."""

import re
from functools import cache

import pytest
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from marketplace.tests.factories import EntryFactory, ImageFileFactory
from registration.tests.factories import SshKeyFactory, UserFactory
from registration.tests.soft_key import passkey_of
from tests.doors import Door, doors
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db

#: Who a door is for. A new URL fails these tests until it is put in one of the three.
FOR_EVERYBODY = {
    "home", "healthz", "help", "login", "policies", "logout",
    "marketplace:catalogue", "marketplace:entry", "marketplace:endorsement",
    "registration:register", "registration:sent", "registration:reset",
    "registration:reset_sent", "registration:reset_confirm", "registration:reset_cancel",
    "mfa_authenticate", "mfa_login_webauthn",
    "openid_connect_login", "openid_connect_callback", "socialaccount_signup",
    "socialaccount_login_cancelled",
    "registration:confirm_email", "registration:new_email_confirm",
    # These lead to the sign-in page without a session that opens them alone.
    "registration:standing", "registration:timeline", "registration:resend",
    "registration:correct", "registration:withdraw", "registration:apply_again",
}  # fmt: skip
FOR_ADMINISTRATORS = {
    "doctor", "audit", "vms:new_type", "vms:type",
    "vms:people", "vms:people_table", "vms:person", "vms:person_quota", "vms:suspend_person",
    "vms:resume_person", "vms:close_person", "vms:act_as", "vms:ask_person",
    "vms:usage_report", "vms:usage_table",
    "registration:queue", "registration:row", "registration:waiting", "registration:decide",
    "registration:decide_many", "registration:rules", "registration:rule",
    "registration:act_on_rule", "registration:reasons", "registration:reason",
    "registration:remove_reason", "registration:wishes", "registration:wish_row",
    "registration:decide_wish", "registration:decide_wishes", "registration:mails",
    "registration:mail",
}  # fmt: skip
FOR_WHO_IS_SIGNED_IN = {
    "live", "vms:list", "vms:bulk", "vms:launch", "vms:types", "vms:prefer_type",
    "marketplace:copy", "vms:my_usage", "registration:stop_acting",
    "registration:wish",
    "registration:profile", "registration:password", "registration:keys", "registration:add_key",
    "registration:profile_defaults", "registration:new_email", "registration:new_email_cancel",
    "registration:tokens", "registration:token_create",
    "account_reauthenticate", "mfa_index", "mfa_activate_totp", "mfa_deactivate_totp",
    "mfa_view_recovery_codes", "mfa_download_recovery_codes", "mfa_generate_recovery_codes",
    "mfa_add_webauthn", "usersessions_list",
    "socialaccount_connections", "socialaccount_connect", "socialaccount_prove",
}  # fmt: skip
FOR_THE_OWNER = {
    "vms:detail", "vms:row", "vms:shut_down", "vms:reboot", "vms:start", "vms:kill", "vms:usage",
    "vms:console", "vms:console_grant", "vms:console_log",
    "registration:withdraw_wish",
    "registration:make_default_key", "registration:remove_key", "registration:rename_key",
    "registration:token_revoke", "mfa_edit_webauthn", "mfa_remove_webauthn", "usersessions_end",
    "socialaccount_disconnect",
}  # fmt: skip
#: Every page of Django's admin is for administrators.
ADMIN_SITE = "admin:"
#: An event stream is not a page: it says 403 to a visitor, and never ends.
STREAM = "live"
SAFE = {"GET", "HEAD"}
WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)
#: Signing in and messages live in the session.
OF_THE_SESSION = "django_session"


@cache
def every_door() -> list[Door]:
    return doors()


def named(names: set[str]) -> list[Door]:
    return [door for door in every_door() if door.name in names]


def for_administrators() -> list[Door]:
    of_the_site = [door for door in every_door() if door.name.startswith(ADMIN_SITE)]
    return named(FOR_ADMINISTRATORS) + of_the_site


class World:
    """One person who owns something of everything, a stranger, and an administrator."""

    def __init__(self) -> None:
        self.alice, self.bob = UserFactory(), UserFactory()
        self.admin = UserFactory(admin=True)
        self.entry = EntryFactory()
        self.vm = VMFactory(owner=self.alice, entry=self.entry, running=True)
        self.key = SshKeyFactory(owner=self.alice)
        self.copy = ImageFileFactory(entry=self.entry)
        self.passkey = passkey_of(self.alice)
        kept = {
            "iss": "https://idp.example.org", "name": "", "given_name": "", "family_name": "",
            "preferred_username": "", "email": "", "email_verified": False,
        }  # fmt: skip
        self.identity = SocialAccount.objects.create(
            user=self.alice, provider="lab", uid="alice", extra_data=kept
        )
        self.session = UserSession.objects.create(
            user=self.alice, session_key="of-another-browser", ip="192.0.2.1", user_agent=""
        )

    def path(self, door: Door) -> str:
        """A path of this door that leads to something of Alice's."""
        owned = self.key.uuid if "key" in door.name.split("_") else self.alice.uuid
        path = door.path(
            key=str({"marketplace:copy": self.copy.uuid}.get(door.name, self.vm.uuid)),
            uuid=str(owned),
            pk=str(
                {
                    "usersessions_end": self.session.pk,
                    "socialaccount_disconnect": self.identity.pk,
                }.get(door.name, self.passkey.pk)
            ),
            name="m1.small",
            verb="approve",
            identifier=self.entry.identifier,
            email=self.entry.endorser_email,
            created=self.entry.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        return f"{path}?image={self.entry.identifier}" if door.name == "vms:launch" else path

    def methods(self, door: Door) -> frozenset[str]:
        """What it takes; the code says so, whatever the test."""
        if door.name not in _methods:
            client = of(self.admin)
            _methods[door.name] = door.methods(
                lambda method, path: client.generic(method, path).headers.get("Allow", "")
            )
        return _methods[door.name]

    def everybody(self) -> list[Client]:
        """Visitor, owner and administrator."""
        return [of(), of(self.alice), of(self.admin)]


_methods: dict[str, frozenset[str]] = {}


def of(user=None, **options) -> Client:
    client = Client(**options)
    if user is not None:
        client.force_login(user)
    return client


@pytest.fixture
def world() -> World:
    return World()


def send(client: Client, method: str, path: str):
    return client.generic(method, path)


def test_every_url_says_who_it_is_for():
    groups = [FOR_EVERYBODY, FOR_ADMINISTRATORS, FOR_WHO_IS_SIGNED_IN, FOR_THE_OWNER]
    listed = [name for group in groups for name in group]
    assert len(listed) == len(set(listed))
    names = {door.name for door in every_door()}
    assert {name for name in names if not name.startswith(ADMIN_SITE)} == set(listed)


def test_every_url_names_its_methods(world):
    for door in every_door():
        methods = world.methods(door)
        assert methods, f"{door.name} takes any method"
        assert methods <= SAFE | {"POST"}, door.name
        assert "GET" not in methods or "HEAD" in methods, f"{door.name} takes GET and not HEAD"


def test_a_visitor_is_asked_to_sign_in(world):
    for door in every_door():
        if door.name in FOR_EVERYBODY or door.name == STREAM:
            continue
        for method in world.methods(door):
            response = send(of(), method, world.path(door))
            assert response.status_code == 302, (door.name, method)
            assert response.url.startswith("/login/?next="), (door.name, method)
    assert send(of(), "GET", "/live/").status_code == 403


def test_what_is_for_administrators_does_not_exist_for_others(world):
    for door in for_administrators():
        for method in world.methods(door):
            assert send(of(world.alice), method, world.path(door)).status_code == 404, door.name


def test_what_somebody_owns_does_not_exist_for_a_stranger(world):
    for door in named(FOR_THE_OWNER):
        path = world.path(door)
        for method in world.methods(door):
            assert send(of(world.bob), method, path).status_code == 404, (door.name, method)
        if "GET" in world.methods(door):
            assert send(of(world.alice), "GET", path).status_code != 404, door.name


def test_nothing_is_done_without_a_csrf_token(world):
    asked = 0
    client = of(world.admin, enforce_csrf_checks=True)
    for door in every_door():
        if "POST" in world.methods(door):
            assert send(client, "POST", world.path(door)).status_code == 403, door.name
            asked += 1
    assert asked > 15


@pytest.mark.slow
def test_looking_changes_nothing(world):
    looked = 0
    everybody = world.everybody()
    for door in every_door():
        if door.name == STREAM or "GET" not in world.methods(door):
            continue
        for client in everybody:
            with CaptureQueriesContext(
                connection,
            ) as queries:
                send(client, "GET", world.path(door))
            written = [q["sql"] for q in queries if WRITES.match(q["sql"])]
            assert not [sql for sql in written if OF_THE_SESSION not in sql], door.name
            looked += 1
    assert looked > 60


@pytest.mark.slow
def test_every_answer_carries_the_policy_and_a_reference(world):
    everybody = world.everybody()
    for door in every_door():
        for client in everybody:
            response = send(client, "GET", world.path(door))
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy, door.name
            assert "unsafe" not in policy, door.name
            assert response.headers["X-Request-ID"], door.name
            assert response.headers["X-Content-Type-Options"] == "nosniff", door.name
            assert response.headers["X-Frame-Options"] == "DENY", door.name
