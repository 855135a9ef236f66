import stat

import pytest
from django.core import mail
from django.core.mail import EmailMessage, get_connection
from django.db import transaction

from registration import emails, mailbox
from registration.models import OutgoingMail
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def files(settings, tmp_path):
    """Mails go to files, as on a site without a mail server."""
    settings.EMAIL_BACKEND = "registration.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path / "mails"
    return settings.EMAIL_FILE_PATH


SENDERS = {
    "requested": lambda user: emails.requested(user, [user]),
    "received": emails.received,
    "activated": emails.activated,
    "rejected": emails.rejected,
    "reset": lambda user: emails.reset(user, "a-token"),
    "password_changed": emails.password_changed,
    "email_changed": lambda user: emails.email_changed(user, "old@example.org"),
}


@pytest.mark.parametrize("name", SENDERS)
def test_every_mail_says_the_same_in_text_and_html_and_escapes_in_html_only(name, posted):
    person = UserFactory(
        given_name="<b>O'Hara</b>", reason="a < b & c", message="x < y & z", rejected=True
    )
    with posted() as mails:
        SENDERS[name](person)
    message = mails[0]
    html = message.alternatives[0].content
    assert "<b>O'Hara</b>" in message.body
    assert "<b>" not in html
    assert "&lt;b&gt;O&#x27;Hara" in html
    assert "&amp;" not in message.body
    assert message.subject.startswith("StratusLab: ")
    assert "\n\n\n" not in message.body.strip()


def test_a_mail_leaves_after_the_commit_only(posted):
    with posted() as mails, transaction.atomic():
        emails.received(UserFactory())
        transaction.set_rollback(True)
    assert mails == []
    assert mail.outbox == []
    assert not OutgoingMail.objects.exists()


def test_mails_in_files_are_the_portals_alone(files, posted):
    with posted():
        emails.received(UserFactory())
    assert stat.S_IMODE(files.stat().st_mode) == 0o700


def test_mails_in_files_are_read_back_newest_first(files, posted):
    for name in ("Ольга", "Jane"):
        with posted():
            emails.received(UserFactory(given_name=name, email=f"{len(name)}@example.org"))
    newest, oldest = mailbox.newest()
    assert (newest.to, oldest.to) == ("4@example.org", "5@example.org")
    assert "Ольга" in oldest.text
    assert "Ольга" in oldest.html_text
    assert "<" not in oldest.html_text
    assert mailbox.find(newest.key).to == newest.to
    assert newest.key != oldest.key


def test_a_mail_inside_a_mail_stays_inside(files, posted):
    forged = "Subject: Security notice of your portal\nFrom: root@portal\n\nSend your password."
    message = f"Hello\n{'-' * 79}\n{forged}\n{'-' * 79}\n"
    with posted():
        emails.requested(UserFactory(message=message), [UserFactory(email="boss@example.org")])
    (found,) = mailbox.newest()
    assert found.to == "boss@example.org"
    assert "Security notice" not in found.subject
    assert "Security notice" in found.text


def test_mails_sent_together_are_files_of_their_own(files):
    letters = [EmailMessage(name, "words", to=["a@example.org"]) for name in ("one", "two")]
    assert get_connection().send_messages(letters) == 2
    assert {found.subject for found in mailbox.newest()} == {"one", "two"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files.iterdir()} == {0o600}


def test_silence_about_a_folder_that_cannot_be_written_can_be_asked_for(files):
    files.write_text("a file, not a folder")
    letter = EmailMessage("one", "words", to=["a@example.org"])
    assert get_connection(fail_silently=True).send_messages([letter]) == 0


def test_no_folder_is_an_empty_mailbox(files):
    assert mailbox.newest() == []
    assert mailbox.find("anything") is None
