import re
import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.models import Event
from registration import actions
from registration.models import ApprovalRule, Policy, ReasonTemplate, User
from registration.states import AccountState
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db

FETCH = {"X-Requested-With": "fetch"}
QUEUE = "/registrations/"
VERBS = ("vouch", "approve", "reject", "reconsider", "take_back")


def url(person: User, verb: str) -> str:
    return reverse("registration:decide", args=[person.uuid, verb])


def names_on(answer) -> list[str]:
    return [row.person.username for row in answer.context["rows"]]


@pytest.mark.parametrize("verb", VERBS)
def test_nobody_decides_but_administrators_and_nobody_by_get(verb, client, alice, admin, signed_in):
    person = UserFactory(confirmed=True)
    assert client.post(url(person, verb)).status_code == 302
    assert signed_in(alice).post(url(person, verb), {"reason": "No."}).status_code == 404
    assert signed_in(admin).get(url(person, verb)).status_code == 405
    person.refresh_from_db()
    assert person.state == AccountState.CONFIRMED


def test_a_decision_needs_a_csrf_token(admin):
    person = UserFactory(confirmed=True)
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)
    assert client.post(url(person, "approve")).status_code == 403
    assert client.post(f"{QUEUE}decide/", {"verb": "approve"}).status_code == 403


def test_who_waits_is_shown_the_longest_first(admin, signed_in):
    now = timezone.now()
    for days, name in ((1, "second"), (3, "first"), (0, "third")):
        UserFactory(username=name, confirmed=True, asked_at=now - timedelta(days=days))
    UserFactory(username="unconfirmed", applied=True)
    client = signed_in(admin)
    assert names_on(client.get(QUEUE)) == ["first", "second", "third"]
    everybody = names_on(client.get(QUEUE, {"state": "all"}))
    assert everybody[:3] == ["first", "second", "third"]
    assert set(everybody) == {"first", "second", "third", "unconfirmed", "boss"}


def test_a_row_tells_what_an_administrator_needs(admin, signed_in):
    Policy.objects.create(version=4, text="Be good.", published_by=admin, asks_again=False)
    refused = UserFactory(username="carla", email="carla@lab.example", confirmed=True)
    actions.reject(refused, by=admin, reason="We do not know you.")
    ApprovalRule.objects.create(pattern="lab.example", created_by=admin, is_enabled=False)
    UserFactory(
        username="carla",
        email="carla@lab.example",
        message="Galaxies & <script>",
        x500_dn="CN=Carla",
        source="orcid",
        policy_version=3,
        confirmed=True,
    )
    page = signed_in(admin).get(QUEUE).text
    for words in (
        "carla@lab.example",
        "?domain=lab.example",
        "Galaxies &amp; &lt;script&gt;",
        "CN=Carla",
        "The same address",
        "We do not know you.",
        "Signed in by orcid",
        "Agreed to version 3 of the policies; version 4 holds now",
        "Would be approved by the rule",
        "which is switched off",
    ):
        assert words in page


def test_a_row_tells_that_the_same_person_was_refused_before(admin, signed_in):
    person = UserFactory(confirmed=True)
    actions.reject(person, by=admin, reason="Write more.")
    person.move(AccountState.CONFIRMED, by=person)
    page = signed_in(admin).get(QUEUE).text
    assert "Asked before; rejected" in page
    assert "Write more." in page


@pytest.mark.parametrize("state", AccountState)
def test_the_queue_is_filtered_and_searched(admin, signed_in, state):
    for each in AccountState:
        UserFactory(username=f"zoe_{each.value}", state=each)
    client = signed_in(admin)
    found = client.get(QUEUE, {"state": state, "q": "zoe jane"})
    assert names_on(found) == [f"zoe_{state.value}"]
    empty = client.get(QUEUE, {"state": state, "q": "nobody"})
    assert "No registrations match" in empty.text


def test_the_queue_is_filtered_by_domain(admin, signed_in):
    UserFactory(username="one", email="one@lab.example", confirmed=True)
    UserFactory(username="two", email="two@notlab.example", confirmed=True)
    answer = signed_in(admin).get(QUEUE, {"domain": "LAB.example"})
    assert names_on(answer) == ["one"]
    assert answer.context["domains"] == ["lab.example", "notlab.example"]


@pytest.mark.parametrize("query", ["?page=-7&q=nobody", "?state=lost", "?state=all&page=x"])
def test_a_page_that_is_not_there_is_no_error(query, admin, signed_in):
    assert signed_in(admin).get(f"{QUEUE}{query}").status_code == 200


def test_an_empty_queue_says_so(admin, signed_in):
    assert "Nobody is waiting" in signed_in(admin).get(QUEUE).text


def test_the_queue_costs_the_same_queries_for_twenty_as_for_two(
    admin, signed_in, django_assert_max_num_queries
):
    client = signed_in(admin)
    UserFactory.create_batch(2, confirmed=True)
    with django_assert_max_num_queries(17) as few:
        client.get(QUEUE)
    for number in range(18):
        user = UserFactory(confirmed=True, email=f"twin{number}@example.org")
        actions.reject(user, by=admin, reason="No.")
        UserFactory(confirmed=True, email=f"twin{number}@example.org")
    with django_assert_max_num_queries(17) as many:
        client.get(QUEUE)
    assert len(few) == len(many)


def test_the_queue_has_pages_and_counts_once(admin, signed_in):
    UserFactory.create_batch(30, confirmed=True)
    second = signed_in(admin).get(f"{QUEUE}?page=2")
    assert len(second.context["rows"]) == 5
    assert "of 30 registrations" in second.text


def test_an_administrator_approves_in_place_and_can_undo(admin, signed_in):
    person = UserFactory(confirmed=True)
    client = signed_in(admin)
    answer = client.post(url(person, "approve"), headers=FETCH)
    assert answer.status_code == 200
    assert answer.text.count("<tr") == 1
    assert 'data-state="active"' in answer.text
    assert "is approved and may sign in" in answer.text
    assert url(person, "take_back") in answer.text
    undone = client.post(url(person, "take_back"), headers=FETCH)
    assert 'data-state="confirmed"' in undone.text
    assert "waits again" in undone.text
    assert "undone by boss" in undone.text


def test_an_approval_can_bring_a_quota(admin, signed_in):
    person = UserFactory(confirmed=True)
    client = signed_in(admin)
    wrong = client.post(url(person, "approve"), {"machines": "-1"}, headers=FETCH)
    assert wrong.status_code == 422
    assert "Machines" in wrong.text
    client.post(url(person, "approve"), {"machines": "9", "disk_gib": "2"}, headers=FETCH)
    person.refresh_from_db()
    assert (person.is_active, person.quota_machines, person.quota_disk_bytes) == (True, 9, 2**31)


def test_without_script_a_decision_leads_back_and_offers_to_undo_it(admin, signed_in):
    person = UserFactory(confirmed=True)
    client = signed_in(admin)
    there = f"{QUEUE}?state=confirmed&q=jane"
    answer = client.post(
        url(person, "reject"), {"reason": "Who are you?", "next": there}, follow=True
    )
    assert answer.redirect_chain == [(there, 302)]
    assert f"{person.get_full_name()} is rejected." in answer.text
    assert 'value="reconsider"' in answer.text
    assert "is rejected." not in client.get(QUEUE).text
    undo = {"verb": "reconsider", "row": str(person.uuid)}
    undone = client.post(f"{QUEUE}decide/", undo, follow=True)
    assert "waits again." in undone.text
    person.refresh_from_db()
    assert person.state == AccountState.CONFIRMED


def test_without_script_a_refusal_is_a_message(admin, signed_in):
    answer = signed_in(admin).post(
        url(UserFactory(confirmed=True), "reject"), {"next": "https://evil.example/"}, follow=True
    )
    assert answer.redirect_chain == [(QUEUE, 302)]
    assert "Write why, in a sentence" in answer.text


def test_a_rejection_without_a_reason_is_refused_in_place_and_keeps_what_was_typed(
    admin, signed_in
):
    client, person = signed_in(admin), UserFactory(confirmed=True)
    answer = client.post(url(person, "reject"), {"reason": " "}, headers=FETCH)
    assert answer.status_code == 422
    assert "Write why, in a sentence" in answer.text
    long = client.post(url(person, "reject"), {"reason": "long " * 200}, headers=FETCH)
    assert "long long" in long.text


def test_a_reason_that_is_given_often_needs_no_typing(admin, signed_in):
    often = ReasonTemplate.objects.create(title="Often", text="You are not one of us.")
    person, other = UserFactory.create_batch(2, confirmed=True)
    client = signed_in(admin)
    assert "Often" in client.get(QUEUE).text
    client.post(url(person, "reject"), {"template": str(often.uuid), "reason": ""})
    client.post(url(other, "reject"), {"template": str(often.uuid), "reason": "My own words."})
    person.refresh_from_db()
    other.refresh_from_db()
    assert (person.reason, other.reason) == ("You are not one of us.", "My own words.")


def test_many_are_approved_at_once_with_a_quota_and_undone_at_once(admin, signed_in):
    people = UserFactory.create_batch(3, confirmed=True)
    gone = UserFactory(withdrawn=True, given_name="Gone")
    client = signed_in(admin)
    form = {"verb": "approve with", "machines": "5", "row": [p.uuid for p in [*people, gone]]}
    answer = client.post(f"{QUEUE}decide/", form, follow=True)
    assert "3 registrations are approved and may sign in." in answer.text
    assert "Gone" in answer.text
    assert User.objects.active().filter(quota_machines=5).count() == 3
    form = {"verb": "take_back", "row": [person.uuid for person in people]}
    client.post(f"{QUEUE}decide/", form)
    assert User.objects.waiting().count() == 3


def test_what_was_typed_for_another_button_is_not_used(admin, signed_in):
    person = UserFactory(confirmed=True)
    form = {"verb": "approve", "machines": "5", "reason": "Typed, then thought better of."}
    signed_in(admin).post(f"{QUEUE}decide/", form | {"row": person.uuid})
    person.refresh_from_db()
    assert (person.is_active, person.quota_machines, person.reason) == (True, None, "")


def test_many_are_rejected_with_one_reason(admin, signed_in):
    people = UserFactory.create_batch(2, confirmed=True)
    form = {"verb": "reject", "reason": "No.", "row": [person.uuid for person in people]}
    signed_in(admin).post(f"{QUEUE}decide/", form)
    assert User.objects.filter(state=AccountState.REJECTED, reason="No.").count() == 2


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "Tick at least one"),
        (["nonsense"], "Tick at least one"),
        ([uuid.uuid4() for _ in range(101)], "At most 100 at once"),
    ],
)
def test_nobody_or_too_many_ticked_is_told(admin, signed_in, rows, sentence):
    answer = signed_in(admin).post(f"{QUEUE}decide/", {"verb": "approve", "row": rows}, follow=True)
    assert sentence in answer.text


def test_with_script_the_list_comes_back_with_its_message(admin, signed_in):
    person = UserFactory(confirmed=True)
    form = {"verb": "approve", "row": person.uuid}
    answer = signed_in(admin).post(f"{QUEUE}decide/", form, headers=FETCH, follow=True)
    assert answer.text.lstrip().startswith('<div id="queue"')
    assert 'id="messages"' in answer.text
    assert "is approved and may sign in." in answer.text
    assert "<html" not in answer.text


def test_an_address_is_vouched_for_in_place(admin, signed_in):
    person = UserFactory(applied=True)
    client = signed_in(admin)
    assert "Vouch for the address" in client.get(f"{QUEUE}?state=applied").text
    answer = client.post(url(person, "vouch"), headers=FETCH)
    assert 'data-state="confirmed"' in answer.text


def test_a_verb_that_does_not_exist_is_a_404(admin, signed_in, alice):
    client = signed_in(admin)
    assert client.post(url(alice, "promote")).status_code == 404
    assert client.post(f"{QUEUE}{uuid.uuid4()}/approve/").status_code == 404
    assert client.post(f"{QUEUE}decide/", {"verb": "promote"}).status_code == 404


def test_the_bar_tells_administrators_how_many_wait(admin, alice, signed_in):
    UserFactory.create_batch(2, confirmed=True)
    actions.ask_for_more(alice, limits={"machines": 1000}, message="Many.")
    page = signed_in(admin).get("/marketplace/").text
    badge = re.search(r'<span id="waiting".*?</span></span>', page)[0]
    assert "waiting: 2 registrations, 1 wish for quota" in badge
    assert ">3<" in badge
    assert 'id="waiting"' not in signed_in(alice).get("/marketplace/").text


def test_more_than_a_hundred_are_not_counted(admin, signed_in):
    UserFactory.create_batch(101, confirmed=True)
    assert "99+" in signed_in(admin).get(f"{QUEUE}waiting/").text


def test_others_pay_nothing_for_the_badge(alice, signed_in, django_assert_max_num_queries):
    client = signed_in(alice)
    with django_assert_max_num_queries(20) as queries:
        client.get("/profile/keys/")
    asked = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
    assert not [sql for sql in asked if "registration_user" in sql or "quotawish" in sql]


def test_a_rule_is_added_seen_and_applied_on_its_pages(admin, signed_in):
    client = signed_in(admin)
    assert "Every request needs an administrator" in client.get(f"{QUEUE}rules/").text
    person = UserFactory(email="carla@lab.example", confirmed=True)
    refused = client.post(f"{QUEUE}rules/", {"pattern": "*.org"})
    assert refused.status_code == 422
    assert "Anybody can register" in refused.text
    page = client.post(f"{QUEUE}rules/", {"pattern": "lab.example", "note": "Ours"}, follow=True)
    rule = ApprovalRule.objects.get()
    assert page.redirect_chain == [(f"{QUEUE}rules/{rule.uuid}/", 302)]
    assert "carla@lab.example" in page.text
    assert "Let in this person" in page.text
    assert "1 matches" in client.get(f"{QUEUE}rules/").text
    client.post(f"{QUEUE}rules/{rule.uuid}/apply/")
    person.refresh_from_db()
    assert person.is_active
    for verb in ("off", "on", "remove"):
        client.post(f"{QUEUE}rules/{rule.uuid}/{verb}/")
    assert not ApprovalRule.objects.exists()
    assert Event.objects.filter(kind="approval_rule").count() == 4


def test_a_rule_is_changed_on_its_page(admin, signed_in):
    client = signed_in(admin)
    rule = actions.add_rule(by=admin, pattern="lab.example")
    there = f"{QUEUE}rules/{rule.uuid}/"
    assert client.post(there, {"pattern": "*.uk"}).status_code == 422
    client.post(there, {"pattern": "*.lab.example", "note": "All"})
    rule.refresh_from_db()
    assert (rule.pattern, rule.note) == ("*.lab.example", "All")
    assert client.post(f"{there}explode/").status_code == 404


def test_reasons_are_kept_on_their_pages(admin, signed_in):
    client = signed_in(admin)
    there = f"{QUEUE}reasons/"
    client.post(there, {"title": "Lost", "text": "Where?"})
    known = ReasonTemplate.objects.get(title="Lost")
    assert "Where?" in client.get(there).text
    assert client.post(f"{there}{known.uuid}/", {"title": "", "text": ""}).status_code == 422
    client.post(f"{there}{known.uuid}/", {"title": "Lost", "text": "Where to?"})
    known.refresh_from_db()
    assert known.text == "Where to?"
    client.post(f"{there}{known.uuid}/remove/")
    assert not ReasonTemplate.objects.filter(pk=known.pk).exists()


@pytest.mark.parametrize("page", ["", "waiting/", "rules/", "reasons/", "wishes/"])
def test_these_pages_do_not_exist_for_others(page, client, alice, signed_in):
    assert client.get(f"{QUEUE}{page}").status_code == 302
    assert signed_in(alice).get(f"{QUEUE}{page}").status_code == 404


def test_the_numbers_of_the_states_come_alone_and_keep_the_search(
    admin, signed_in, django_assert_max_num_queries
):
    UserFactory(confirmed=True, given_name="Zoe")
    client = signed_in(admin)
    with django_assert_max_num_queries(8) as queries:
        answer = client.get(f"{QUEUE}?state=all&q=zoe&part=states", headers=FETCH)
    assert answer.text.count("<tr") == 0
    assert 'aria-current="true">All <span class="count">1</span>' in answer.text
    assert '"?state=rejected&amp;q=zoe"' in answer.text
    assert len([query for query in queries if "GROUP BY" in query["sql"]]) == 1
