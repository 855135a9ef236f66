import pytest
from django.db.models.signals import pre_save
from django.utils import timezone

from core.errors import Refused
from core.models import Event
from registration import actions
from registration.models import ApprovalRule, ReasonTemplate, User
from registration.states import AccountState
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db

DECISIONS = {
    "vouch": {},
    "approve": {},
    "reject": {"reason": "No."},
    "reconsider": {},
    "take_back": {},
}


def last(user: User) -> Event:
    return Event.objects.of(user.uuid).filter(verb="moved").last()


def rule(admin, pattern="lab.example", **fields) -> ApprovalRule:
    return ApprovalRule.objects.create(pattern=pattern, created_by=admin, **fields)


@pytest.mark.parametrize("verb", DECISIONS)
def test_only_an_administrator_decides(verb, alice):
    user = UserFactory(confirmed=True)
    with pytest.raises(Refused) as refused:
        getattr(actions, verb)(user, by=alice, **DECISIONS[verb])
    assert refused.value.code == "not_administrator"
    user.refresh_from_db()
    assert user.state == AccountState.CONFIRMED


@pytest.mark.parametrize(
    ("verb", "trait"),
    [
        ("vouch", "confirmed"), ("approve", "applied"), ("approve", "rejected"),
        ("reject", "withdrawn"), ("reconsider", "withdrawn"), ("take_back", "suspended"),
    ],
)  # fmt: skip
def test_a_decision_that_does_not_fit_the_state_is_refused(verb, trait, admin):
    user = UserFactory(**{trait: True})
    with pytest.raises(Refused) as refused:
        getattr(actions, verb)(user, by=admin, **DECISIONS[verb])
    assert refused.value.code == "account_state"


def test_who_is_approved_may_sign_in_and_is_told(admin, posted):
    user = UserFactory(confirmed=True)
    with posted() as mails:
        actions.approve(user, by=admin)
    assert user.is_active
    assert [mail.to for mail in mails] == [[user.email]]
    assert (last(user).was, last(user).now, last(user).by) == ("confirmed", "active", admin)


def test_an_approval_sets_the_quota_or_does_nothing_at_all(admin):
    user = UserFactory(confirmed=True)
    with pytest.raises(Refused) as refused:
        actions.approve(user, by=admin, limits={"machines": -1})
    assert refused.value.code == "quota_invalid"
    user.refresh_from_db()
    assert (user.state, user.quota_machines) == (AccountState.CONFIRMED, None)
    actions.approve(user, by=admin, limits={"machines": 7, "disk_bytes": 2**40})
    user.refresh_from_db()
    assert (user.quota.machines, user.quota.disk_bytes, user.quota_vcpus) == (7, 2**40, None)
    event = Event.objects.get(verb="quota_set")
    assert event.detail["before"] == {"machines": None, "disk_bytes": None}
    assert event.detail["after"] == {"machines": 7, "disk_bytes": 2**40}


def test_a_rejection_needs_a_reason_which_is_mailed(admin, posted):
    user = UserFactory(confirmed=True)
    for reason, code in ((" ", "reason_missing"), ("x" * 501, "reason_too_long")):
        with pytest.raises(Refused) as refused:
            actions.reject(user, by=admin, reason=reason)
        assert refused.value.code == code
    with posted() as mails:
        actions.reject(user, by=admin, reason=" We do not know you. ")
    assert user.reason == "We do not know you."
    assert "We do not know you." in mails[0].body


def test_an_address_is_vouched_for_and_the_link_under_way_dies(admin):
    user = UserFactory(applied=True)
    serial = user.email_serial
    actions.vouch(user, by=admin)
    user.refresh_from_db()
    assert (user.state, user.email_serial) == (AccountState.CONFIRMED, serial + 1)
    assert user.email_confirmed_at is not None
    assert last(user).detail == {"vouched": user.email}


def test_nobody_vouches_for_an_address_that_somebody_has(admin):
    UserFactory(email="twin@lab.example")
    user = UserFactory(applied=True, email="Twin@lab.example")
    with pytest.raises(Refused) as refused:
        actions.vouch(user, by=admin)
    assert refused.value.code == "email_taken"


@pytest.mark.parametrize(
    ("confirmed_at", "state"),
    [(None, AccountState.APPLIED), (timezone.now(), AccountState.CONFIRMED)],
)
def test_an_undone_rejection_waits_where_it_was(admin, confirmed_at, state):
    user = UserFactory(rejected=True, email_confirmed_at=confirmed_at)
    actions.reconsider(user, by=admin)
    assert (user.state, user.reason) == (state, "")


@pytest.mark.parametrize(
    ("twin", "code"),
    [({"username": "CARLA"}, "username_taken"), ({"email": "carla@lab.example"}, "email_taken")],
)
def test_a_rejection_whose_name_is_taken_by_now_is_not_undone(admin, twin, code):
    user = UserFactory(username="carla", email="carla@lab.example", rejected=True)
    UserFactory(**twin)
    with pytest.raises(Refused) as refused:
        actions.reconsider(user, by=admin)
    assert refused.value.code == code


def test_an_approval_is_undone_until_the_person_has_signed_in(admin):
    user = UserFactory()
    actions.take_back(user, by=admin)
    assert user.state == AccountState.CONFIRMED
    actions.approve(user, by=admin)
    copy = User.objects.get(pk=user.pk)
    User.objects.filter(pk=user.pk).update(last_login=timezone.now())
    with pytest.raises(Refused) as refused:
        actions.take_back(copy, by=admin)
    assert refused.value.code == "account_state"
    assert copy.is_active


@pytest.mark.parametrize(("verb", "trait"), [("take_back", {}), ("reconsider", {"rejected": True})])
def test_a_decision_that_is_undone_is_told(admin, posted, verb, trait):
    user = UserFactory(**trait)
    with posted() as mails:
        getattr(actions, verb)(user, by=admin)
    (mail,) = mails
    assert (mail.to, mail.subject.endswith("being looked at again")) == ([user.email], True)
    assert user.username in mail.body
    assert "/register/standing/" in mail.body


def test_an_administrator_is_not_sent_back_to_the_queue(admin):
    with pytest.raises(Refused):
        actions.take_back(UserFactory(admin=True), by=admin)


def test_what_counts_is_how_a_request_is_and_not_how_it_was_shown(admin):
    user = UserFactory(confirmed=True)
    stale = User.objects.get(pk=user.pk)
    actions.reject(user, by=admin, reason="No.")
    with pytest.raises(Refused) as refused:
        actions.approve(stale, by=admin)
    assert "rejected by now" in str(refused.value)


@pytest.mark.parametrize(
    ("email", "pattern"),
    [
        ("carla@lab.example", "lab.example"),
        ("carla@LAB.example", "lab.example"),
        ("carla@phys.lab.example", "*.lab.example"),
        ("carla@a.phys.lab.example", "*.phys.lab.example"),
    ],
)
def test_a_rule_lets_in_who_has_an_address_of_its_domain(admin, posted, email, pattern):
    written = rule(admin, pattern)
    user = UserFactory(confirmed=True, email=email)
    with posted() as mails:
        assert actions.by_rule(user) == written
    written.refresh_from_db()
    assert user.is_active
    assert (written.used_count, written.used_at is not None) == (1, True)
    event = last(user)
    assert (event.by, event.reason) == (None, f"Approved by rule {pattern}")
    assert event.detail["rule"] == pattern
    assert len(mails) == 1


@pytest.mark.parametrize(
    ("email", "pattern", "enabled"),
    [
        ("carla@lab.example", "lab.example", False),
        ("carla@lab.example", "*.lab.example", True),
        ("carla@notlab.example", "lab.example", True),
        ("carla@lab.example.evil.org", "lab.example", True),
        ("carla@phys.lab.example", "lab.example", True),
        ("lab.example@evil.org", "lab.example", True),
    ],
)
def test_a_rule_lets_in_nobody_else(admin, email, pattern, enabled):
    rule(admin, pattern, is_enabled=enabled)
    user = UserFactory(confirmed=True, email=email)
    assert actions.by_rule(user) is None
    assert user.state == AccountState.CONFIRMED


def test_a_rule_lets_in_nobody_whose_address_is_not_confirmed(admin):
    rule(admin)
    for user in (
        UserFactory(applied=True, email="a@lab.example"),
        UserFactory(rejected=True, email="b@lab.example"),
        UserFactory(confirmed=True, email="c@lab.example", email_confirmed_at=None),
    ):
        assert actions.by_rule(user) is None


def test_a_rule_looks_at_the_address_as_it_is_now(admin):
    rule(admin)
    user = UserFactory(confirmed=True, email="carla@lab.example")
    User.objects.filter(pk=user.pk).update(email="carla@elsewhere.example")
    assert actions.by_rule(user) is None


@pytest.mark.parametrize(
    "pattern",
    ["lab.example", "*.lab.example", " @LAB.example ", "bücher.example", "dept.univ.ac.uk"],
)
def test_a_rule_is_a_domain_or_what_is_below_one(admin, pattern):
    written = actions.add_rule(by=admin, pattern=pattern, note="Our own")
    assert written.pattern == written.pattern.strip().lower()
    assert Event.objects.get(verb="rule_added").by == admin


@pytest.mark.parametrize(
    "pattern",
    [
        "", "*", "*.*", "org", "*.org", "co.uk", "*.co.uk", "github.io", "localhost", "gmail.com",
        "*.gmail.com", "lab example.org", "lab..example", "*lab.example", "a.*.example",
        "jane@lab.example", "-lab.example", "192.0.2.7/24", "x" * 300 + ".example",
    ],
)  # fmt: skip
def test_a_rule_for_anybody_is_refused(admin, pattern):
    with pytest.raises(Refused) as refused:
        actions.add_rule(by=admin, pattern=pattern)
    assert refused.value.code == "pattern_invalid"
    assert not ApprovalRule.objects.exists()


def test_there_is_one_rule_for_a_domain(admin):
    actions.add_rule(by=admin, pattern="lab.example")
    other = actions.add_rule(by=admin, pattern="other.example")
    for act in (
        lambda: actions.add_rule(by=admin, pattern="LAB.example"),
        lambda: actions.change_rule(other, by=admin, pattern="lab.example"),
    ):
        with pytest.raises(Refused) as refused:
            act()
        assert refused.value.code == "pattern_known"


def test_a_new_rule_leaves_who_waits_until_it_is_applied(admin, posted):
    user = UserFactory(confirmed=True, email="carla@lab.example")
    UserFactory(confirmed=True, email="bob@elsewhere.example")
    written = actions.add_rule(by=admin, pattern="lab.example")
    assert actions.waiting_for(written) == [user]
    user.refresh_from_db()
    assert user.state == AccountState.CONFIRMED
    with posted() as mails:
        assert actions.apply_rule(written, by=admin) == [user]
    written.refresh_from_db()
    assert (written.used_count, len(mails), last(user).by) == (1, 1, admin)


def test_a_rule_is_changed_switched_and_removed_on_the_record(admin):
    written = actions.add_rule(by=admin, pattern="lab.example")
    actions.change_rule(written, by=admin, pattern="*.lab.example", note="Sites")
    actions.change_rule(written, by=admin, pattern="*.lab.example", note="Sites")
    actions.switch_rule(written, by=admin, is_enabled=False)
    actions.switch_rule(written, by=admin, is_enabled=False)
    with pytest.raises(Refused) as refused:
        actions.apply_rule(written, by=admin)
    assert refused.value.code == "rule_off"
    actions.switch_rule(written, by=admin, is_enabled=True)
    actions.remove_rule(written, by=admin)
    verbs = Event.objects.filter(kind="approval_rule").values_list("verb", flat=True)
    assert list(verbs) == [
        "rule_added", "rule_changed", "rule_switched_off", "rule_switched_on", "rule_removed",
    ]  # fmt: skip


def test_nobody_else_writes_rules_and_reasons(admin, alice):
    written = rule(admin)
    template = ReasonTemplate.objects.create(title="Who?", text="Who are you?")
    for act in (
        lambda: actions.add_rule(by=alice, pattern="lab2.example"),
        lambda: actions.change_rule(written, by=alice, pattern="lab2.example"),
        lambda: actions.switch_rule(written, by=alice, is_enabled=False),
        lambda: actions.apply_rule(written, by=alice),
        lambda: actions.remove_rule(written, by=alice),
        lambda: actions.add_reason(by=alice, title="A", text="B"),
        lambda: actions.change_reason(template, by=alice, title="A", text="B"),
        lambda: actions.remove_reason(template, by=alice),
    ):
        with pytest.raises(Refused) as refused:
            act()
        assert refused.value.code == "not_administrator"


def test_some_reasons_come_with_the_portal():
    assert ReasonTemplate.objects.count() >= 3


@pytest.mark.parametrize(
    ("title", "text", "code"),
    [
        (" ", "Why.", "title_invalid"), ("x" * 61, "Why.", "title_invalid"),
        ("Why", " ", "reason_missing"), ("Why", "x" * 501, "reason_too_long"),
        ("Known", "Why.", "title_known"),
    ],
)  # fmt: skip
def test_a_reason_has_a_title_of_its_own_and_a_text(admin, title, text, code):
    actions.add_reason(by=admin, title="Known", text="As before.")
    with pytest.raises(Refused) as refused:
        actions.add_reason(by=admin, title=title, text=text)
    assert refused.value.code == code


def test_a_reason_is_reworded_and_removed_on_the_record(admin):
    template = actions.add_reason(by=admin, title="Lost", text="Where?")
    actions.change_reason(template, by=admin, title="Lost", text="Where to?")
    actions.remove_reason(template, by=admin)
    events = Event.objects.filter(kind="reason_template")
    assert [event.verb for event in events] == ["reason_added", "reason_changed", "reason_removed"]
    assert events[1].detail["before"]["text"] == "Where?"


@pytest.fixture
def no_audit():
    """A portal that ends whenever it is about to write a line."""

    def end(**_):
        raise SystemExit

    pre_save.connect(end, sender=Event)
    yield
    pre_save.disconnect(end, sender=Event)


def test_no_rule_is_kept_without_its_line(admin, no_audit):
    rule = ApprovalRule.objects.create(pattern="lab.example", created_by=admin)
    with pytest.raises(SystemExit):
        actions.add_rule(by=admin, pattern="other.example")
    with pytest.raises(SystemExit):
        actions.change_rule(rule, by=admin, pattern="another.example")
    assert list(ApprovalRule.objects.values_list("pattern", flat=True)) == ["lab.example"]
