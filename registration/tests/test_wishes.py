import pytest

from core.errors import Refused
from core.models import Event
from registration import actions
from registration.models import QuotaWish
from registration.states import WishState
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db

FETCH = {"X-Requested-With": "fetch"}
ASK = "/profile/quota/ask/"
WISHES = "/registrations/wishes/"


@pytest.fixture
def wish(alice) -> QuotaWish:
    return actions.ask_for_more(
        alice, limits={"machines": 40, "disk_bytes": 2**41}, message="A course of forty."
    )


def to(person, mails) -> list:
    return [mail for mail in mails if mail.to == [person.email]]


def test_a_wish_is_told_to_the_administrators_and_recorded(admin, alice, posted):
    with posted() as mails:
        wish = actions.ask_for_more(alice, limits={"machines": 40, "vcpus": None}, message="Many.")
    assert (wish.limits, wish.state) == ({"machines": 40}, WishState.WAITING)
    assert [mail.to for mail in mails] == [["boss@example.org"]]
    assert "40 machines" in mails[0].body
    event = Event.objects.get(kind="quota_wish")
    assert (event.verb, event.owner, event.detail) == ("asked", alice, {"wanted": {"machines": 40}})


@pytest.mark.parametrize(
    ("limits", "message", "code"),
    [
        ({}, "Why.", "wish_empty"),
        ({"machines": None}, "Why.", "wish_empty"),
        ({"machines": 1}, "Why.", "wish_not_more"),
        ({"machines": -1}, "Why.", "quota_invalid"),
        ({"machines": 10**12}, "Why.", "quota_invalid"),
        ({"colour": 7}, "Why.", "quota_invalid"),
        ({"machines": 40}, "  ", "message_missing"),
        ({"machines": 40}, "x" * 2001, "message_too_long"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(alice, limits, message, code):
    with pytest.raises(Refused) as refused:
        actions.ask_for_more(alice, limits=limits, message=message)
    assert refused.value.code == code
    assert not QuotaWish.objects.exists()


def test_one_wish_waits_at_a_time(alice, wish):
    with pytest.raises(Refused) as refused:
        actions.ask_for_more(alice, limits={"machines": 50}, message="More.")
    assert refused.value.code == "wish_waiting"
    actions.withdraw_wish(wish, by=alice)
    actions.ask_for_more(alice, limits={"machines": 50}, message="More.")


def test_asking_and_withdrawing_does_not_send_mail_after_mail(alice, monkeypatch):
    monkeypatch.setattr("registration.actions.wishes.MOST_WISHES", 2)
    for _ in range(2):
        wish = actions.ask_for_more(alice, limits={"machines": 40}, message="More.")
        actions.withdraw_wish(wish, by=alice)
    with pytest.raises(Refused) as refused:
        actions.ask_for_more(alice, limits={"machines": 40}, message="More.")
    assert refused.value.code == "too_many_attempts"


def test_a_granted_wish_is_the_quota_at_once(admin, alice, wish, posted):
    with posted() as mails:
        actions.grant_wish(wish, by=admin)
    alice.refresh_from_db()
    assert (alice.quota.machines, alice.quota.disk_bytes) == (40, 2**41)
    assert (wish.state, wish.reason) == (WishState.GRANTED, "")
    event = Event.objects.get(verb="quota_set")
    assert event.detail["before"] == {"machines": None, "disk_bytes": None}
    assert event.detail["after"] == {"machines": 40, "disk_bytes": 2**41}
    assert len(to(alice, mails)) == 1


def test_less_can_be_granted_and_the_person_is_told_what(admin, alice, wish, posted):
    with posted() as mails:
        actions.grant_wish(wish, by=admin, limits={"machines": 20, "disk_bytes": None})
    alice.refresh_from_db()
    assert (alice.quota.machines, alice.quota_disk_bytes) == (20, None)
    assert wish.reason == "You may now hold 20 machines."
    assert "20 machines" in to(alice, mails)[0].body


def test_a_wish_is_granted_as_a_whole_or_not_at_all(admin, alice, wish):
    with pytest.raises(Refused) as refused:
        actions.grant_wish(wish, by=admin, limits={"machines": 20, "images": -2})
    assert refused.value.code == "quota_invalid"
    alice.refresh_from_db()
    wish.refresh_from_db()
    assert (alice.quota_machines, wish.state) == (None, WishState.WAITING)


def test_a_declined_wish_tells_why_and_can_be_undone(admin, alice, wish, posted):
    with pytest.raises(Refused) as refused:
        actions.decline_wish(wish, by=admin, reason=" ")
    assert refused.value.code == "reason_missing"
    with posted() as mails:
        actions.decline_wish(wish, by=admin, reason="The site is full.")
    assert "The site is full." in to(alice, mails)[0].body
    actions.reconsider_wish(wish, by=admin)
    assert wish.state == WishState.WAITING
    alice.refresh_from_db()
    assert alice.quota_machines is None


def test_a_declined_wish_stays_so_once_the_person_asks_for_something_else(admin, alice, wish):
    actions.decline_wish(wish, by=admin, reason="No.")
    actions.ask_for_more(alice, limits={"machines": 30}, message="Less, then.")
    with pytest.raises(Refused) as refused:
        actions.reconsider_wish(wish, by=admin)
    assert refused.value.code == "wish_waiting"


def test_an_answered_wish_is_answered(admin, alice, wish):
    stale = QuotaWish.objects.get()
    actions.grant_wish(wish, by=admin)
    for act in (
        lambda: actions.grant_wish(stale, by=admin),
        lambda: actions.decline_wish(stale, by=admin, reason="No."),
        lambda: actions.reconsider_wish(stale, by=admin),
        lambda: actions.withdraw_wish(stale, by=alice),
    ):
        with pytest.raises(Refused) as refused:
            act()
        assert refused.value.code == "wish_state"


def test_only_administrators_answer_and_only_who_asked_withdraws(alice, admin, wish):
    for act, code in (
        (lambda: actions.grant_wish(wish, by=alice), "not_administrator"),
        (lambda: actions.decline_wish(wish, by=alice, reason="No."), "not_administrator"),
        (lambda: actions.reconsider_wish(wish, by=alice), "not_administrator"),
        (lambda: actions.withdraw_wish(wish, by=admin), "not_owner"),
    ):
        with pytest.raises(Refused) as refused:
            act()
        assert refused.value.code == code


def test_a_person_asks_sees_and_withdraws_on_a_page(alice, signed_in):
    client = signed_in(alice)
    wrong = client.post(ASK, {"machines": "1", "message": ""})
    assert wrong.status_code == 422
    less = client.post(ASK, {"machines": "1", "message": "One."})
    assert "ask for more than that" in less.text
    form = {"machines": "40", "disk_gib": "2048", "message": "A course of <forty>."}
    page = client.post(ASK, form, follow=True).text
    assert "You asked for 40 machines, 2,048 GiB of disk" in page
    assert "A course of &lt;forty&gt;." in page
    wish = QuotaWish.objects.get()
    assert wish.disk_bytes == 2**41
    page = client.post(f"{ASK}{wish.uuid}/withdraw/", follow=True).text
    assert "Your wish is withdrawn." in page
    assert "Withdrawn" in page


def test_a_refused_limit_is_told_beside_its_field(alice, signed_in):
    page = signed_in(alice).post(ASK, {"disk_gib": "1", "message": "A little."})
    assert set(page.context["form"].errors) == {"disk_gib"}


def test_another_persons_wish_does_not_exist(alice, wish, admin, signed_in):
    for who in (UserFactory(), admin):
        answer = signed_in(who).post(f"{ASK}{wish.uuid}/withdraw/")
        assert answer.status_code == 404
    assert wish.in_words not in signed_in(UserFactory()).get(ASK).text


def test_administrators_answer_in_place(admin, alice, wish, signed_in):
    client = signed_in(admin)
    page = client.get(WISHES).text
    assert "40 machines" in page
    assert "A course of forty." in page
    answer = client.post(f"{WISHES}{wish.uuid}/grant/", {"machines": "20"}, headers=FETCH)
    assert 'data-state="granted"' in answer.text
    assert "is granted" in answer.text
    alice.refresh_from_db()
    assert alice.quota.machines == 20


def test_without_script_declining_leads_back_and_can_be_undone(admin, wish, signed_in):
    client = signed_in(admin)
    page = client.post(f"{WISHES}{wish.uuid}/decline/", {"reason": "Full."}, follow=True)
    assert page.redirect_chain == [(WISHES, 302)]
    assert "is declined." in page.text
    client.post(f"{WISHES}decide/", {"verb": "reconsider", "row": str(wish.uuid)})
    wish.refresh_from_db()
    assert wish.state == WishState.WAITING


def test_a_wish_declined_without_a_reason_is_refused_in_place(admin, wish, signed_in):
    answer = signed_in(admin).post(f"{WISHES}{wish.uuid}/decline/", headers=FETCH)
    assert answer.status_code == 422
    assert "Write why" in answer.text


def test_many_wishes_are_granted_at_once(admin, signed_in):
    wishes = [
        actions.ask_for_more(UserFactory(), limits={"vcpus": 100 + n}, message="Speed.")
        for n in range(3)
    ]
    form = {"verb": "grant", "row": [wish.uuid for wish in wishes]}
    answer = signed_in(admin).post(f"{WISHES}decide/", form, follow=True)
    assert "3 wishes are granted." in answer.text
    assert {wish.owner.quota.vcpus for wish in QuotaWish.objects.all()} == {100, 101, 102}


@pytest.mark.parametrize("state", WishState)
def test_wishes_are_filtered_by_state(admin, signed_in, state):
    for each in WishState:
        QuotaWish.objects.create(owner=UserFactory(), machines=9, message="Why.", state=each)
    rows = signed_in(admin).get(WISHES, {"state": state}).context["rows"]
    assert [row.wish.state for row in rows] == [state]


def test_no_wishes_is_said(admin, signed_in):
    assert "No wish is waiting" in signed_in(admin).get(WISHES).text


def test_wishes_cost_the_same_queries_for_twenty_as_for_two(
    admin, signed_in, django_assert_max_num_queries
):
    client = signed_in(admin)
    counts = []
    for number in (2, 18):
        for _ in range(number):
            QuotaWish.objects.create(owner=UserFactory(), machines=9, message="Why.")
        with django_assert_max_num_queries(15) as queries:
            client.get(WISHES)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_verb_that_does_not_exist_is_a_404(admin, wish, signed_in):
    client = signed_in(admin)
    assert client.post(f"{WISHES}{wish.uuid}/explode/").status_code == 404
    assert client.post(f"{WISHES}decide/", {"verb": "explode"}).status_code == 404
