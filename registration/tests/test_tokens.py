"""API tokens: shown once, kept as a digest, limited in time and reach."""

import datetime as dt
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from core.caller import Caller, called
from core.errors import Refused
from core.models import NOTHING, Event
from registration import actions, token_text
from registration.actions.tokens import MOST_BAD_TOKENS
from registration.models import ApiToken, Scope
from registration.states import AccountState
from registration.tests.factories import PASSWORD, ApiTokenFactory, UserFactory

pytestmark = pytest.mark.django_db

HERE = "203.0.113.7"


def create(owner, **changes):
    wanted = {
        "name": "backup",
        "scope": Scope.READ,
        "expires_at": timezone.now() + dt.timedelta(days=30),
    }
    return actions.create_token(owner=owner, **wanted | changes)


def use(text, scope=Scope.READ):
    return actions.use_token(text, scope=scope, address=HERE)


def test_no_two_tokens_are_the_same_and_each_passes_its_own_check():
    tokens = {token_text.new_token() for _ in range(500)}
    assert len(tokens) == 500
    assert all(token_text.is_token(token) for token in tokens)
    assert {len(token) for token in tokens} == {53}


def test_a_token_with_a_letter_changed_is_no_token():
    token = token_text.new_token()
    for at in range(len(token)):
        other = "A" if token[at] != "A" else "B"
        assert not token_text.is_token(token[:at] + other + token[at + 1 :])
    assert not token_text.is_token(token + "\n")
    assert not token_text.is_token("")


def test_the_text_of_a_token_is_nowhere_kept(alice):
    token, text = create(alice)
    token.refresh_from_db()
    assert token.digest == token_text.digest(text)
    kept = {str(getattr(token, field.name)) for field in token._meta.fields}
    assert text not in kept
    assert text.startswith(token.hint)
    assert text not in str(list(Event.objects.values_list("detail", flat=True)))


def test_a_good_token_is_its_owner_and_its_use_is_noted_each_minute(alice):
    _, text = create(alice)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        assert use(text).owner == alice
        first = ApiToken.objects.get().last_used_at
        assert (first, ApiToken.objects.get().last_used_from) == (timezone.now(), HERE)
        clock.shift(30)
        use(text)
        assert ApiToken.objects.get().last_used_at == first
        clock.shift(31)
        use(text)
        assert ApiToken.objects.get().last_used_at == timezone.now()
    alice.refresh_from_db()
    assert alice.last_seen_at > first


def test_a_use_that_is_noted_already_writes_nothing(alice, django_assert_num_queries):
    _, text = create(alice)
    use(text)
    with django_assert_num_queries(1):
        use(text)


@pytest.mark.parametrize("text", ["", "slp_", "hunter2", "slp_" + "0" * 49, "é" * 53, "\0"])
def test_what_is_no_token_opens_nothing(text):
    with pytest.raises(actions.BadToken) as refused:
        use(text)
    assert refused.value.code == "token_unknown"
    assert Event.objects.get(subject=NOTHING).outcome == "denied"


def test_a_token_that_nobody_has_opens_nothing():
    with pytest.raises(actions.BadToken):
        use(token_text.new_token())


def test_an_expired_token_opens_nothing(alice):
    _, text = create(alice, expires_at=timezone.now() + dt.timedelta(days=7))
    with (
        time_machine.travel(timezone.now() + dt.timedelta(days=8)),
        pytest.raises(actions.BadToken, match="ended on") as refused,
    ):
        use(text)
    assert refused.value.code == "token_expired"


def test_a_revoked_token_opens_nothing_and_is_revoked_once(alice):
    token, text = create(alice)
    actions.revoke_token(token, by=alice)
    actions.revoke_token(ApiToken.objects.get(), by=alice)
    with pytest.raises(actions.BadToken) as refused:
        use(text)
    assert refused.value.code == "token_revoked"
    verbs = [event.verb for event in Event.objects.of(token.uuid)]
    assert verbs == ["token_created", "token_revoked", "token_used"]


@pytest.mark.parametrize("state", [AccountState.SUSPENDED, AccountState.CLOSED])
def test_tokens_of_who_is_not_let_in_open_nothing(alice, state):
    _, text = create(alice)
    alice.move(state)
    with pytest.raises(actions.BadToken) as refused:
        use(text)
    assert refused.value.code == "not_let_in"
    assert ApiToken.objects.get().last_used_at is None


def test_a_token_to_read_does_not_write_and_the_denial_is_told_to_its_owner(alice):
    _, text = create(alice)
    with pytest.raises(Refused) as refused:
        use(text, Scope.WRITE)
    assert refused.value.code == "scope"
    assert not isinstance(refused.value, actions.BadToken)
    denial = Event.objects.filter(outcome="denied").get()
    assert (denial.owner, denial.subject_name, denial.outcome) == (alice, "backup", "denied")


def test_many_bad_tokens_from_an_address_are_braked_and_good_ones_still_work(alice):
    _, text = create(alice)
    codes = set()
    for _ in range(MOST_BAD_TOKENS + 5):
        with pytest.raises(Refused) as refused:
            use("slp_guess")
        codes.add(refused.value.code)
    assert codes == {"token_unknown", "too_many_attempts"}
    assert Event.objects.filter(subject=NOTHING).count() == 1
    assert use(text).owner == alice


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"name": " \n "}, "token_name_missing", "name"),
        ({"name": "x" * 81}, "token_name_missing", "name"),
        ({"scope": "everything"}, "token_scope", "scope"),
        ({"expires_at": timezone.now() - dt.timedelta(days=1)}, "token_expiry", "until"),
        ({"expires_at": timezone.now() + dt.timedelta(days=400)}, "token_expiry", "until"),
    ],
)
def test_what_a_token_may_not_be(alice, changes, code, field):
    with pytest.raises(Refused) as refused:
        create(alice, **changes)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert not ApiToken.objects.exists()


def test_a_site_may_shorten_the_life_of_tokens(alice, settings):
    settings.PORTAL_TOKEN_DAYS = 14
    create(alice, expires_at=timezone.now() + dt.timedelta(days=14))
    with pytest.raises(Refused, match="14 days"):
        create(alice, name="other", expires_at=timezone.now() + dt.timedelta(days=30))


def test_a_name_is_used_by_one_good_token(alice):
    token, _ = create(alice)
    with pytest.raises(Refused) as refused:
        create(alice, name="Backup")
    assert refused.value.code == "token_name_taken"
    actions.revoke_token(token, by=alice)
    create(alice, name="Backup")
    create(UserFactory())


def test_twenty_tokens_are_enough_and_ended_ones_do_not_count(alice):
    ApiTokenFactory.create_batch(3, owner=alice, is_expired=True)
    ApiTokenFactory.create_batch(20, owner=alice)
    with pytest.raises(Refused, match="20") as refused:
        create(alice)
    assert refused.value.code == "too_many_tokens"


def test_an_administrator_who_acts_for_somebody_makes_no_token_in_their_name(alice, admin):
    acting = Caller(door="page", administrator=admin.pk, acts_as=alice.pk)
    with called(acting), pytest.raises(Refused) as refused:
        create(alice)
    assert refused.value.code == "acting"


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_the_same_form_sent_twice_at_once_makes_one_token(alice):
    def once(_):
        try:
            create(alice)
        except Refused as refused:
            return refused.code
        finally:
            connection.close()
        return "made"

    with ThreadPoolExecutor(4) as threads:
        said = sorted(threads.map(once, range(4)))
    assert said == ["made"] + ["token_name_taken"] * 3


# Pages -------------------------------------------------------------------------------


@pytest.fixture
def client(alice, client):
    client.post("/login/", {"login": "alice", "password": PASSWORD})
    return client


FORM = {"name": "backup", "scope": "read", "lasts": "30"}


def test_the_page_shows_a_new_token_once(client, alice):
    assert "You have no API token" in client.get("/profile/tokens/").text
    answer = client.post("/profile/tokens/new/", FORM)
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    text = re.search(r"slp_[0-9A-Za-z]{49}", answer.text)[0]
    assert use(text).owner == alice
    again = client.get("/profile/tokens/")
    assert text not in again.text
    assert text[:8] in again.text
    assert "no-store" in again.headers["Cache-Control"]
    assert text not in str(dict(client.session))


def test_sending_the_form_again_makes_no_second_token(client):
    client.post("/profile/tokens/new/", FORM)
    answer = client.post("/profile/tokens/new/", FORM)
    assert answer.status_code == 422
    assert "a token called backup already" in answer.text
    assert ApiToken.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": ""}, "This field is required"),
        ({"lasts": "date"}, "Choose the day"),
        ({"lasts": "date", "until": "2001-01-01"}, "A token ends in the future"),
        ({"lasts": "9999"}, "Select a valid choice"),
        ({"scope": "root"}, "Select a valid choice"),
    ],
)
def test_a_form_that_is_not_right_comes_back_with_its_reasons(client, changes, sentence):
    answer = client.post("/profile/tokens/new/", FORM | changes)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert not ApiToken.objects.exists()


def test_a_day_of_ones_choice_counts_whole(client):
    day = timezone.now().date() + dt.timedelta(days=365)
    client.post("/profile/tokens/new/", FORM | {"lasts": "date", "until": day.isoformat()})
    assert ApiToken.objects.get().expires_at.date() == day + dt.timedelta(days=1)


def test_only_lives_that_the_site_allows_are_offered(client, settings):
    settings.PORTAL_TOKEN_DAYS = 30
    page = client.get("/profile/tokens/").text
    assert 'value="30"' in page
    assert 'value="90"' not in page


def test_a_token_is_revoked_on_the_page_and_is_told_among_the_ended(client, alice):
    token, text = create(alice)
    answer = client.post(f"/profile/tokens/{token.uuid}/revoke/", follow=True)
    assert "Ended tokens" in answer.text
    with pytest.raises(actions.BadToken):
        use(text)


def test_an_expired_token_is_shown_as_such(client, alice):
    ApiTokenFactory(owner=alice, name="old laptop", is_expired=True)
    page = client.get("/profile/tokens/").text
    assert "expired" in page.split("Ended tokens")[1]


def test_somebody_elses_token_does_not_exist_an_administrator_included(client, admin, signed_in):
    token = ApiTokenFactory()
    path = f"/profile/tokens/{token.uuid}/revoke/"
    for somebody in (client, signed_in(admin)):
        assert somebody.get(path).status_code == 404
    assert client.post(path).status_code == 404
    assert ApiToken.objects.get().is_good


@pytest.mark.parametrize("path", ["/profile/tokens/new/", "/profile/tokens/{}/revoke/"])
def test_long_after_the_sign_in_the_person_proves_anew_who_they_are(client, alice, path):
    token = ApiTokenFactory(owner=alice)
    path = path.format(token.uuid)
    with time_machine.travel(timezone.now() + dt.timedelta(minutes=6)):
        answer = client.post(path, FORM)
        assert answer.status_code == 302
        assert answer.url.startswith("/profile/confirm/")
        assert ApiToken.objects.filter(revoked_at=None).count() == 1
        proven = client.post(answer.url, {"password": PASSWORD})
        assert proven.status_code in (200, 302)
    good = ApiToken.objects.filter(revoked_at=None)
    if "new" in path:
        assert good.count() == 2
        assert re.search(r"slp_[0-9A-Za-z]{49}", proven.text)
    else:
        assert not good.exists()


def test_a_change_of_the_password_leaves_tokens_and_says_so(client, alice, posted):
    form = {
        "password": PASSWORD,
        "new_password": "quiet-lake-44-under",
        "again": "quiet-lake-44-under",
    }
    _, text = create(alice)
    with posted() as mails:
        answer = client.post("/profile/password/", form, follow=True)
    assert "Your API tokens still work" in answer.text
    assert "tokens still work" in mails[0].body
    assert use(text).owner == alice
