"""Entries that wait for an administrator: the queue, the owner's view, and what programs hear."""

import html
import re
from datetime import UTC, datetime

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from marketplace import actions
from marketplace.actions import EVERYBODY, Reader
from marketplace.models import Entry, Publication
from marketplace.states import PublicationState, Visibility
from marketplace.tests import publishing, signing
from registration import emails, tasks
from registration.models import OutgoingMail
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db
FETCH = {"HTTP_X_REQUESTED_WITH": "fetch"}
QUEUE = "/marketplace/publications/"


@pytest.fixture(autouse=True)
def _asking(settings):
    settings.PORTAL_PUBLISH_APPROVAL = True


@pytest.fixture
def owner():
    return UserFactory()


@pytest.fixture
def admin():
    return UserFactory(admin=True)


def browser_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def wish_of(owner, content: bytes = b"an image", readers: Reader = EVERYBODY) -> Publication:
    entry = actions.sign_and_publish(
        publishing.metadata_about(content), signer=signing.alice(owner.email), email=owner.email,
        owner=owner, by=owner, readers=readers,
    )  # fmt: skip
    return Publication.objects.filter(entry=entry).first() or entry


def text(answer) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def url(wish: Publication, verb: str) -> str:
    return reverse("marketplace:decide_publication", args=[wish.uuid, verb])


class TestQueue:
    def test_it_is_the_administrators_alone(self, owner, client):
        wish = wish_of(owner)
        assert client.get(QUEUE).status_code == 302
        for path in (QUEUE, reverse("marketplace:publication_row", args=[wish.uuid])):
            assert browser_of(owner).get(path).status_code == 404
        for verb in ("approve", "reject", "reconsider"):
            assert browser_of(owner).post(url(wish, verb), {"reason": "x"}).status_code == 404
        wish.refresh_from_db()
        assert wish.state == PublicationState.ASKED

    def test_only_by_post_with_a_token(self, owner, admin):
        wish = wish_of(owner)
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(admin)
        for path in (url(wish, "approve"), reverse("marketplace:decide_publications")):
            assert browser_of(admin).get(path).status_code == 405
            assert strict.post(path).status_code == 403

    def test_one_is_approved(self, owner, admin):
        wish = wish_of(owner)
        browser_of(admin).post(url(wish, "approve"))
        assert Entry.objects.get().visibility == Visibility.PUBLIC

    def test_one_is_rejected_with_a_reason_and_not_without(self, owner, admin):
        wish, browser = wish_of(owner), browser_of(admin)
        answer = browser.post(url(wish, "reject"), {"reason": " "}, **FETCH)
        assert answer.status_code == 422
        assert "Write why, in a sentence; the person reads it." in text(answer)
        browser.post(url(wish, "reject"), {"reason": "Its keys are in it."})
        wish.refresh_from_db()
        assert (wish.state, wish.reason) == (PublicationState.REJECTED, "Its keys are in it.")
        assert "Its keys are in it." in text(browser.get(QUEUE, {"state": "rejected"}))

    def test_many_are_approved_at_once(self, owner, admin):
        wishes = [wish_of(owner, content) for content in (b"one", b"two", b"three")]
        browser_of(admin).post(
            reverse("marketplace:decide_publications"),
            {"verb": "approve", "row": [str(wish.uuid) for wish in wishes[:2]]},
        )
        states = Publication.objects.order_by("pk").values_list("state", flat=True)
        assert list(states) == ["approved", "approved", "asked"]

    def test_an_approval_has_no_undo_and_the_page_says_so(self, owner, admin):
        wish, browser = wish_of(owner), browser_of(admin)
        browser.post(url(wish, "approve"))
        assert browser.post(url(wish, "reconsider"), **FETCH).status_code == 422
        assert "What you approve has no undo" in text(browser.get(QUEUE))

    def test_what_was_asked_again_since_is_not_asked_twice(self, owner, admin):
        wish, browser = wish_of(owner), browser_of(admin)
        browser.post(url(wish, "reject"), {"reason": "No."})
        actions.ask_publication(wish.entry, by=owner)
        answer = browser.post(url(wish, "reconsider"), **FETCH)
        assert answer.status_code == 422
        assert "Its owner has asked again since: answer that." in text(answer)

    def test_rows_cost_no_queries(self, owner, admin, django_assert_max_num_queries):
        browser = browser_of(admin)
        wish_of(owner)
        browser.get(QUEUE)
        with django_assert_max_num_queries(40) as few:
            browser.get(QUEUE)
        for content in (b"one", b"two", b"three"):
            wish_of(UserFactory(), content)
        with django_assert_max_num_queries(len(few)):
            browser.get(QUEUE)

    def test_what_waits_is_counted_in_the_bar(self, owner, admin):
        wish_of(owner)
        page = browser_of(admin).get("/registrations/waiting/")
        assert "0 wishes for quota, 1 entry to publish" in text(page)
        assert 'id="waiting-publications"' in page.content.decode()
        assert 'data-live-list="account quota_wish publication"' in page.content.decode()


class TestOwner:
    def test_the_page_of_the_entry_says_that_it_waits(self, owner):
        wish = wish_of(owner)
        said = text(browser_of(owner).get(wish.entry.permalink))
        assert "Waiting for an administrator" in said
        assert "Withdraw" in said

    def test_approved_the_open_page_follows(self, owner, admin):
        """Each part that tells who may read it asks anew when the wish is answered."""
        wish = wish_of(owner)
        browser = browser_of(owner)
        page = browser.get(wish.entry.permalink).content.decode()
        key = f'data-live="publication:{wish.uuid}"'
        own = reverse("marketplace:publication", args=[wish.uuid])
        sources = re.findall(rf'{key}[^>]* data-live-src="([^"]+)"', page)
        assert sorted(sources) == [own, f"{own}?part=acts", f"{own}?part=facts"]

        def parts():
            asked = {"headers": {"x-requested-with": "fetch"}}
            answers = [browser.get(source, **asked) for source in sorted(sources)]
            return [answer.content.decode() for answer in answers]

        panel, acts, facts = parts()
        assert all(part.count(key) == 1 for part in (panel, acts, facts))
        assert "Share or publish" in acts
        assert "its owner and administrators" in facts
        actions.approve_publication(wish, by=admin)
        panel, acts, facts = parts()
        assert "Everybody can find and launch it" in panel
        assert "Share or publish" not in acts
        assert "everybody" in facts
        assert all(part.count(key) == 1 for part in (panel, acts, facts))
        assert key not in browser.get(wish.entry.permalink).content.decode()

    def test_it_is_withdrawn_by_who_asked_alone(self, owner, admin):
        wish = wish_of(owner)
        path = reverse("marketplace:withdraw_publication", args=[wish.uuid])
        for other in (UserFactory(), admin):
            assert browser_of(other).post(path).status_code == 404
        browser_of(owner).post(path)
        wish.refresh_from_db()
        assert wish.state == PublicationState.WITHDRAWN

    def test_rejected_it_shows_the_reason_and_is_asked_again(self, owner, admin):
        wish, browser = wish_of(owner), browser_of(owner)
        actions.reject_publication(wish, by=admin, reason="Its keys are in it.")
        path = reverse("marketplace:ask_publication", args=[wish.entry.uuid])
        page = browser.get(wish.entry.permalink)
        assert "Its keys are in it." in text(page)
        assert path in page.content.decode()
        browser.post(path, {"message": "They are gone."})
        assert Publication.objects.waiting().get().message == "They are gone."

    def test_words_that_are_too_long_are_refused(self, owner, admin):
        wish = wish_of(owner)
        actions.reject_publication(wish, by=admin, reason="No.")
        path = reverse("marketplace:ask_publication", args=[wish.entry.uuid])
        answer = browser_of(owner).post(path, {"message": "x" * 1001})
        assert answer.status_code == 422
        assert not Publication.objects.waiting().exists()

    def test_where_nobody_is_asked_it_says_so(self, owner, settings):
        entry = wish_of(owner, readers=Reader(visibility=Visibility.PRIVATE))
        settings.PORTAL_PUBLISH_APPROVAL = False
        path = reverse("marketplace:ask_publication", args=[entry.uuid])
        answer = browser_of(owner).post(path, {"message": ""})
        assert answer.status_code == 422
        assert "Nobody is asked" in text(answer)

    def test_it_is_nobody_elses_business(self, owner, admin):
        wish = wish_of(owner)
        fragment = reverse("marketplace:publication", args=[wish.uuid])
        asking = reverse("marketplace:ask_publication", args=[wish.entry.uuid])
        stranger = browser_of(UserFactory())
        assert stranger.get(fragment, **FETCH).status_code == 404
        assert stranger.post(asking).status_code == 404
        assert browser_of(admin).post(asking).status_code == 404
        assert browser_of(admin).get(fragment, **FETCH).status_code == 200
        assert browser_of(owner).get(fragment, **FETCH).status_code == 200

    def test_pages_say_beforehand_that_an_administrator_is_asked(self, owner, admin):
        words = "Before everybody reads it, an administrator is asked"
        assert words in text(browser_of(owner).get("/marketplace/upload/"))
        assert words not in text(browser_of(admin).get("/marketplace/upload/"))


def test_a_program_hears_that_an_administrator_is_asked(owner):
    xml = publishing.signed(email=owner.email)
    answer = browser_of(owner).post("/marketplace/metadata", xml, content_type="application/xml")
    assert (answer.status_code, answer.content.decode()) == (
        202,
        "metadata entry created for its owner alone: an administrator is asked before everybody "
        "reads it",
    )
    assert answer.headers["Location"].endswith(Entry.objects.get().permalink)


def test_the_mail_of_the_day_counts_what_waits(
    owner, admin, settings, mailoutbox, django_capture_on_commit_callbacks
):
    settings.PORTAL_REGISTRATION_MAILS = "daily"
    with time_machine.travel(datetime(2026, 11, 20, 6, 5, tzinfo=UTC), tick=False):
        wish_of(owner)
        assert not OutgoingMail.objects.filter(to=admin.email).exists()
        with django_capture_on_commit_callbacks(execute=True):
            tasks.send_digest()
        emails.settle()
    (mail,) = mailoutbox
    assert "1 entry waits to be published" in mail.body
    assert QUEUE in mail.body
