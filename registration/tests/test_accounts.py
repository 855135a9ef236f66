import uuid
from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.utils import timezone

from core.errors import Refused
from core.models import Event
from registration import actions, holdings
from registration.models import ApiToken, Group, Invitation, Membership, QuotaWish, Role, User
from registration.states import AccountState, WishState
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db

WHY = "Your machine sends spam."


def refusal(act, *args, **kwargs) -> str:
    with pytest.raises(Refused) as refused:
        act(*args, **kwargs)
    return refused.value.code


def token_of(owner: User, **changes) -> ApiToken:
    fields = {
        "name": "laptop",
        "digest": uuid.uuid4().hex * 2,
        "hint": "sl_abc",
        "expires_at": timezone.now() + timedelta(days=1),
    }
    return ApiToken.objects.create(owner=owner, **fields | changes)


def test_a_suspended_person_is_out_at_once_and_told_why(admin, alice, signed_in, posted):
    client = signed_in(alice)
    assert client.get("/profile/keys/").status_code == 200
    with posted() as mails:
        actions.suspend(alice, by=admin, reason=WHY)
    assert client.get("/profile/keys/").status_code == 302
    assert (alice.state, alice.reason) == (AccountState.SUSPENDED, WHY)
    (mail,) = mails
    assert mail.to == [alice.email]
    assert WHY in mail.body
    event = Event.objects.of(alice.uuid).get(verb="moved")
    assert (event.by, event.reason) == (admin, WHY)


def test_sessions_of_others_are_not_read_while_the_locks_are_held(
    admin, alice, signed_in, monkeypatch
):
    mine, other = signed_in(alice), signed_in(UserFactory())
    for client in (mine, other):
        key, user = client.session.session_key, client.session["_auth_user_id"]
        UserSession.objects.create(user_id=user, session_key=key, ip="192.0.2.1", user_agent="")
    read = []
    decoded = Session.get_decoded
    monkeypatch.setattr(Session, "get_decoded", lambda row: read.append(row.pk) or decoded(row))
    actions.suspend(alice, by=admin, reason=WHY)
    assert not read
    assert not Session.objects.filter(pk=mine.session.session_key).exists()
    assert Session.objects.filter(pk=other.session.session_key).exists()


def test_a_session_that_is_in_no_list_ends_as_well(
    admin, alice, signed_in, django_capture_on_commit_callbacks
):
    client, other = signed_in(alice), signed_in(UserFactory())
    with django_capture_on_commit_callbacks(execute=True):
        actions.suspend(alice, by=admin, reason=WHY)
    actions.resume(alice, by=admin)
    assert client.get("/profile/keys/").status_code == 302
    assert other.get("/profile/keys/").status_code == 200


def test_a_session_from_before_the_suspension_does_not_come_back(admin, alice, signed_in):
    client, other = signed_in(alice), signed_in(UserFactory())
    UserSession.objects.create(
        user=alice, session_key=client.session.session_key, ip="192.0.2.1", user_agent=""
    )
    actions.suspend(alice, by=admin, reason=WHY)
    actions.resume(alice, by=admin)
    assert client.get("/profile/keys/").status_code == 302
    assert not UserSession.objects.filter(user=alice).exists()
    assert other.get("/profile/keys/").status_code == 200
    assert Session.objects.count() == 1


def test_a_resumed_person_is_told_and_may_sign_in(admin, posted):
    person = UserFactory(suspended=True)
    with posted() as mails:
        actions.resume(person, by=admin)
    assert person.is_active
    assert "active again" in mails[0].body


@pytest.mark.parametrize("verb", ["suspend", "close"])
def test_nobody_shuts_out_themselves(admin, verb):
    assert refusal(getattr(actions, verb), admin, by=admin, reason=WHY) == "not_oneself"


@pytest.mark.parametrize("verb", ["suspend", "close"])
def test_a_reason_is_asked_for(admin, alice, verb):
    assert refusal(getattr(actions, verb), alice, by=admin, reason=" ") == "reason_missing"
    assert refusal(getattr(actions, verb), alice, by=admin, reason="x" * 501) == "reason_too_long"


@pytest.mark.parametrize("verb", ["suspend", "close", "act_as"])
def test_only_administrators_do_this(alice, verb):
    act = getattr(actions, verb)
    assert refusal(act, UserFactory(), by=alice, reason=WHY) == "not_administrator"
    assert refusal(actions.make_administrator, alice, by=alice) == "not_administrator"
    assert refusal(actions.revoke_administrator, alice, by=alice) == "not_administrator"
    assert refusal(actions.revoke_tokens, alice, by=alice) == "not_administrator"
    assert refusal(actions.resume, alice, by=alice) == "not_administrator"


def test_what_cannot_be_done_in_a_state_is_refused(admin):
    waiting, closed = UserFactory(confirmed=True), UserFactory(closed=True)
    assert refusal(actions.suspend, waiting, by=admin, reason=WHY) == "account_state"
    assert refusal(actions.close, closed, by=admin, reason=WHY) == "account_state"
    assert refusal(actions.resume, closed, by=admin) == "account_state"


def test_what_is_shown_does_not_count_but_what_is(admin, alice):
    stale = User.objects.get(pk=alice.pk)
    actions.close(alice, by=admin, reason=WHY)
    assert refusal(actions.suspend, stale, by=admin, reason=WHY) == "account_state"


def test_a_closed_account_keeps_its_name_and_frees_its_address(admin, alice, posted):
    with posted() as mails:
        actions.close(alice, by=admin, reason="The project has ended.")
    assert alice.state == AccountState.CLOSED
    assert "The project has ended." in mails[0].body
    assert User.objects.holding(username="Alice").exists()
    assert not User.objects.holding(email=alice.email).exists()


def test_a_closed_account_gives_up_tokens_wishes_and_invitations(admin, alice):
    token = token_of(alice)
    wish = QuotaWish.objects.create(owner=alice, machines=9, message="More.")
    group = Group.objects.create(name="galaxies")
    Invitation.objects.create(group=group, user=alice, invited_by=admin, expires_at=timezone.now())
    actions.close(alice, by=admin, reason=WHY)
    token.refresh_from_db()
    wish.refresh_from_db()
    assert not token.is_good
    assert wish.state == WishState.WITHDRAWN
    assert not Invitation.objects.exists()


def group_of(*owners, members=()) -> Group:
    group = Group.objects.create(name=f"group {uuid.uuid4().hex[:8]}")
    for people, role in ((owners, Role.OWNER), (members, Role.MEMBER)):
        for person in people:
            Membership.objects.create(group=group, user=person, role=role)
    return group


def owners_of(group: Group) -> list[User]:
    return [one.user for one in group.memberships.filter(role=Role.OWNER)]


def test_no_group_is_left_without_an_owner(admin, alice):
    bob, carla, gone = UserFactory(), UserFactory(), UserFactory(closed=True)
    shared, kept, empty = (
        group_of(alice, bob),
        group_of(alice, members=[gone, carla]),
        group_of(alice),
    )
    assert "2 groups that nobody else owns" in holdings.of(alice)[0]
    actions.close(alice, by=admin, reason=WHY)
    assert owners_of(shared) == [bob]
    assert owners_of(kept) == [carla]
    assert not Group.objects.filter(pk=empty.pk).exists()
    assert not alice.memberships.exists()


def test_an_heir_owns_the_groups_that_nobody_else_does(admin, alice):
    bob, carla = UserFactory(), UserFactory()
    kept, empty = group_of(alice, members=[carla]), group_of(alice)
    actions.close(alice, by=admin, reason=WHY, heir=bob)
    assert owners_of(kept) == owners_of(empty) == [bob]


def test_an_heir_must_be_somebody_else_who_is_active(admin, alice):
    for heir in (alice, UserFactory(suspended=True)):
        code = refusal(actions.close, alice, by=admin, reason=WHY, heir=heir)
        assert code == "heir_state"
    assert User.objects.get(pk=alice.pk).is_active


def test_an_administrator_is_made_and_unmade(admin, alice):
    actions.make_administrator(alice, by=admin)
    assert User.objects.get(pk=alice.pk).is_staff
    actions.make_administrator(alice, by=admin)
    actions.revoke_administrator(alice, by=admin)
    assert not User.objects.get(pk=alice.pk).is_staff
    verbs = Event.objects.of(alice.uuid).values_list("verb", flat=True)
    assert list(verbs) == ["administrator_made", "administrator_revoked"]


def test_only_the_active_become_administrators(admin):
    person = UserFactory(confirmed=True)
    assert refusal(actions.make_administrator, person, by=admin) == "not_active"


def test_there_is_always_an_administrator(admin):
    assert refusal(actions.revoke_administrator, admin, by=admin) == "last_administrator"
    other = UserFactory(admin=True)
    actions.revoke_administrator(admin, by=admin)
    assert refusal(actions.revoke_administrator, other, by=other) == "last_administrator"


def test_an_administrator_who_was_unmade_meanwhile_unmakes_nobody(admin):
    other = UserFactory(admin=True)
    stale = User.objects.get(pk=admin.pk)
    actions.revoke_administrator(admin, by=other)
    code = refusal(actions.suspend, other, by=stale, reason=WHY)
    assert code in ("not_administrator", "last_administrator")


def test_revoked_tokens_are_worthless_and_named_in_the_audit(admin, alice):
    token_of(alice, name="laptop")
    token_of(alice, name="old", expires_at=timezone.now())
    assert actions.revoke_tokens(alice, by=admin) == 1
    assert not alice.api_tokens.good().exists()
    assert Event.objects.get(verb="tokens_revoked").detail == {"tokens": ["laptop"]}
    assert actions.revoke_tokens(alice, by=admin) == 0


def test_nobody_acts_for_administrators_or_who_is_shut_out(admin):
    for person, code in (
        (UserFactory(admin=True), "is_administrator"),
        (UserFactory(suspended=True), "not_active"),
    ):
        assert refusal(actions.act_as, person, by=admin, reason="To help.") == code
        assert Event.objects.get(subject=person.uuid).outcome == "denied"
