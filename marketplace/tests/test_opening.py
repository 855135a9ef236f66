"""Where the site wants it, an administrator is asked before an entry goes to everybody."""

from datetime import timedelta

import pytest
from django.utils import timezone

from core.errors import Refused
from marketplace import actions, opening
from marketplace.actions import EVERYBODY, Reader, removing
from marketplace.models import Entry, Publication
from marketplace.states import PublicationState, Visibility
from marketplace.tests import publishing, signing
from registration.models import OutgoingMail
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db
MINE = Reader(visibility=Visibility.PRIVATE)


@pytest.fixture
def alice():
    return UserFactory()


@pytest.fixture
def admin():
    return UserFactory(admin=True)


@pytest.fixture
def asking(settings):
    settings.PORTAL_PUBLISH_APPROVAL = True


def say(owner, *, content=b"an image", readers=EVERYBODY, by=None) -> Entry:
    return actions.sign_and_publish(
        publishing.metadata_about(content),
        signer=signing.alice(owner.email),
        email=owner.email,
        owner=owner,
        by=by or owner,
        readers=readers,
    )


def pen_of(owner) -> actions.Pen:
    return actions.Pen(signer=signing.alice(owner.email), email=owner.email)


def test_a_site_that_does_not_ask_lets_people_publish(alice):
    assert say(alice).visibility == Visibility.PUBLIC
    assert not Publication.objects.exists()


@pytest.mark.usefixtures("asking")
class TestAsked:
    def test_what_would_go_to_everybody_is_its_owners_alone(self, alice, admin):
        entry = say(alice)
        assert entry.visibility == Visibility.PRIVATE
        assert Publication.objects.get().entry == entry
        assert OutgoingMail.objects.get(to=admin.email).kind == "publication_asked"

    def test_an_entry_for_oneself_needs_nobody(self, alice):
        say(alice, readers=MINE)
        assert not Publication.objects.exists()

    def test_an_administrator_publishes_at_once(self, admin):
        assert say(admin).visibility == Visibility.PUBLIC

    def test_opening_it_later_asks_as_well(self, alice):
        entry = say(alice, readers=MINE)
        asked = actions.set_readers(entry, by=alice, readers=EVERYBODY)
        assert asked == Publication.objects.get()
        assert Entry.objects.get().visibility == Visibility.PRIVATE

    def test_approved_it_is_everybodys_and_its_owner_is_told(self, alice, admin):
        entry = say(alice)
        actions.approve_publication(Publication.objects.get(), by=admin)
        entry.refresh_from_db()
        assert entry.visibility == Visibility.PUBLIC
        assert OutgoingMail.objects.filter(to=alice.email, kind="publication_approved").exists()

    def test_who_has_been_approved_says_the_next_word_at_once(self, alice, admin):
        entry = say(alice)
        actions.approve_publication(Publication.objects.get(), by=admin)
        entry.refresh_from_db()
        again = actions.deprecate(entry, by=alice, reason="Old.", pen=pen_of(alice))
        assert again.visibility == Visibility.PUBLIC

    def test_rejected_it_stays_with_its_owner_and_can_wait_again(self, alice, admin):
        entry = say(alice)
        wish = Publication.objects.get()
        actions.reject_publication(wish, by=admin, reason="Its keys are in it.")
        entry.refresh_from_db()
        assert entry.visibility == Visibility.PRIVATE
        assert OutgoingMail.objects.filter(to=alice.email, kind="publication_rejected").exists()
        actions.reconsider_publication(wish, by=admin)
        assert wish.state == PublicationState.ASKED

    def test_it_is_answered_once(self, alice, admin):
        say(alice)
        wish = Publication.objects.get()
        actions.approve_publication(wish, by=admin)
        with pytest.raises(Refused) as refused:
            actions.reject_publication(wish, by=admin, reason="No.")
        assert refused.value.code == "publication_state"

    def test_only_administrators_answer(self, alice):
        say(alice)
        with pytest.raises(Refused) as refused:
            actions.approve_publication(Publication.objects.get(), by=alice)
        assert refused.value.code == "not_administrator"

    def test_it_can_be_withdrawn_and_asked_again(self, alice):
        entry = say(alice)
        actions.withdraw_publication(Publication.objects.get(), by=alice)
        actions.ask_publication(entry, by=alice, message="For the course.")
        states = Publication.objects.order_by("pk").values_list("state", flat=True)
        assert list(states) == [PublicationState.WITHDRAWN, PublicationState.ASKED]

    def test_a_newer_word_takes_the_place_of_the_one_that_waits(self, alice):
        entry = say(alice)
        until = timezone.now() + timedelta(days=100)
        newer = actions.extend(entry, by=alice, until=until, pen=pen_of(alice))
        actions.set_readers(newer, by=alice, readers=EVERYBODY)
        assert Publication.objects.waiting().get().entry == newer

    def test_a_word_that_is_not_for_everybody_ends_the_wish_as_well(self, alice):
        entry = say(alice)
        until = timezone.now() + timedelta(days=100)
        actions.extend(entry, by=alice, until=until, pen=pen_of(alice))
        wish = Publication.objects.get()
        assert wish.state == PublicationState.WITHDRAWN
        assert "something newer" in wish.reason
        assert not opening.count_waiting(10)

    def test_an_image_that_is_removed_waits_for_nobody(self, alice):
        entry = say(alice)
        removing.remove_image(entry, by=alice, reason="Old.", pen=pen_of(alice))
        assert not Publication.objects.waiting().exists()

    def test_what_became_public_otherwise_waits_for_nobody(self, alice, settings):
        entry = say(alice)
        settings.PORTAL_PUBLISH_APPROVAL = False
        actions.set_readers(entry, by=alice, readers=EVERYBODY)
        assert Publication.objects.get().state == PublicationState.WITHDRAWN

    def test_nobody_asks_for_a_word_that_was_replaced(self, alice, admin):
        entry = say(alice)
        wish = Publication.objects.get()
        actions.reject_publication(wish, by=admin, reason="Its keys are in it.")
        until = timezone.now() + timedelta(days=100)
        actions.extend(entry, by=alice, until=until, pen=pen_of(alice))
        for ask in (
            lambda: actions.ask_publication(entry, by=alice),
            lambda: actions.set_readers(entry, by=alice, readers=EVERYBODY),
            lambda: actions.reconsider_publication(wish, by=admin),
        ):
            with pytest.raises(Refused) as refused:
                ask()
            assert refused.value.code == "entry_replaced"
        assert not Publication.objects.waiting().exists()

    def test_who_asks_and_withdraws_for_ever_sends_no_mail_for_ever(self, alice, admin):
        entry = say(alice)
        for _ in range(opening.MOST_MAILS + 3):
            actions.withdraw_publication(Publication.objects.waiting().get(), by=alice)
            actions.ask_publication(entry, by=alice)
        told = OutgoingMail.objects.filter(kind="publication_asked")
        assert told.count() == opening.MOST_MAILS

    def test_of_the_wish_of_a_stranger_the_administrators_hear_as_well(self, admin):
        """Their address was proven by a mail; an account they have none."""
        opened = publishing.published()
        assert opened.visibility == Visibility.PRIVATE
        letter = OutgoingMail.objects.get(to=admin.email, kind="publication_asked")
        assert letter.reply_to == "alice@example.org"
        assert "The owner of alice@example.org (no account here) would" in letter.subject
        assert Publication.objects.get().owner is None

    def test_strangers_together_send_no_more_than_one_person(self, admin):
        for number in range(opening.MOST_MAILS + 2):
            content = f"image {number}".encode()
            publishing.published(content, email=f"a{number}@example.org")
        assert Publication.objects.waiting().count() == opening.MOST_MAILS + 2
        assert OutgoingMail.objects.filter(kind="publication_asked").count() == opening.MOST_MAILS
        say(UserFactory(), content=b"of a person")
        assert OutgoingMail.objects.filter(kind="publication_asked").count() > opening.MOST_MAILS
