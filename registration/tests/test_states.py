import pytest
from django.db import IntegrityError, transaction

from core.machine import IllegalMove
from core.models import Event
from registration.models import User
from registration.states import ACCOUNT_MOVES, AccountState
from registration.tests.factories import SshKeyFactory, UserFactory


def test_every_state_says_where_it_may_go():
    assert set(ACCOUNT_MOVES) == set(AccountState)


@pytest.mark.parametrize("state", AccountState)
def test_only_the_active_are_let_in(state):
    assert User(state=state).is_active == (state == AccountState.ACTIVE)


@pytest.mark.django_db
def test_an_active_account_cannot_go_back_to_waiting():
    with pytest.raises(IllegalMove):
        UserFactory().move(AccountState.APPLIED)


@pytest.mark.django_db
def test_a_change_of_state_leaves_a_line_of_history():
    user = UserFactory(applied=True)
    user.move(AccountState.REJECTED, reason="No.")
    event = Event.objects.of(user.uuid).get()
    assert (event.kind, event.was, event.now, event.reason) == (
        "account",
        "applied",
        "rejected",
        "No.",
    )


@pytest.mark.django_db
@pytest.mark.parametrize("twin", [{"username": "ALICE"}, {"email": "Alice@Example.org"}])
def test_the_database_refuses_a_name_or_address_in_other_letter_case(twin):
    UserFactory(username="alice", email="alice@example.org")
    with pytest.raises(IntegrityError), transaction.atomic():
        UserFactory(**twin)


@pytest.mark.django_db
def test_a_rejected_account_holds_no_name():
    UserFactory(username="alice", rejected=True)
    UserFactory(username="alice")


@pytest.mark.django_db
def test_the_database_refuses_an_unknown_state():
    with pytest.raises(IntegrityError), transaction.atomic():
        UserFactory(state="lost")


@pytest.mark.django_db
def test_the_database_refuses_two_default_keys():
    key = SshKeyFactory(is_default=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        SshKeyFactory(owner=key.owner, is_default=True)


@pytest.mark.django_db
def test_people_see_themselves_and_administrators_see_all(alice, admin):
    assert list(User.objects.visible_to(alice)) == [alice]
    assert set(User.objects.visible_to(admin)) == {alice, admin}


@pytest.mark.django_db
def test_the_live_stream_shows_an_account_to_itself_and_to_administrators(alice, admin):
    from core.live import _policies  # noqa: PLC0415

    may_see = _policies["account"]
    bob = UserFactory()
    assert may_see(alice, str(alice.uuid))
    assert may_see(admin, str(alice.uuid))
    assert not may_see(bob, str(alice.uuid))


def test_a_quota_is_the_sites_unless_it_is_ones_own(settings):
    settings.PORTAL_QUOTA_MACHINES = 7
    assert User().quota.machines == 7
    assert User(quota_machines=0).quota.machines == 0


@pytest.mark.django_db
def test_an_address_that_nobody_has_confirmed_is_nobodys():
    UserFactory(email="alice@example.org", applied=True)
    UserFactory(email="alice@example.org", applied=True)
    UserFactory(email="alice@example.org")


@pytest.mark.parametrize("state", AccountState)
def test_verbs_of_a_request_lead_where_the_table_goes(state):
    goes = {"confirm": AccountState.CONFIRMED, "withdraw": AccountState.WITHDRAWN}
    for verb in User(state=state).request_verbs & set(goes):
        assert goes[verb] in ACCOUNT_MOVES[state]
