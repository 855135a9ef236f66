import html
import re
import stat
from base64 import b64encode
from hashlib import sha256

import pytest
from django.core import mail
from django.core.mail import EmailMessage, get_connection
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from core.errors import Refused
from core.models import Event
from registration import actions, emails, letters, mailbox, outbox
from registration.actions.mails import MOST_TRIALS
from registration.models import Invitation, MailText, OutgoingMail, QuotaWish
from registration.tests.factories import GroupFactory, UserFactory
from registration.views.mails import PAGE

pytestmark = pytest.mark.django_db


@pytest.fixture
def files(settings, tmp_path):
    """Mails go to files, as on a site without a mail server."""
    settings.EMAIL_BACKEND = "registration.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path / "mails"
    return settings.EMAIL_FILE_PATH


LINK = "http://portal.example/a/link/"
REPORTED = {"what": "endorses", "image": "PcW9", "endorsed": "2026-01-15T10:00:00Z"}
DOCUMENT = {**REPORTED, "days": "3"}

DRAFT = outbox.Attached(name="draft.xml", type="application/rdf+xml", text="<a>b</a>")


def sent_to(user) -> dict:
    """Every occasion on which a person is written to."""
    user.new_email = "new@example.org"
    group = GroupFactory(name=user.given_name, description="a < b & c")
    invitation = Invitation(
        group=group, user=user, invited_by=user, expires_at=timezone.now(), email=""
    )
    wish = QuotaWish(owner=user, machines=20, message="x < y & z", reason="a < b & c")
    return {
        "requested": lambda: emails.requested(user, [user]),
        "confirm": lambda: emails.confirm(user, LINK),
        "already_registered": lambda: emails.already_registered(user),
        "received": lambda: emails.received(user),
        "activated": lambda: emails.activated(user),
        "reopened": lambda: emails.reopened(user),
        "rejected": lambda: emails.rejected(user),
        "suspended": lambda: emails.suspended(user),
        "resumed": lambda: emails.resumed(user),
        "closed": lambda: emails.closed(user),
        "reset": lambda: emails.reset(user, "a-token"),
        "password_elsewhere": lambda: emails.password_elsewhere(user, "Elsewhere."),
        "identities_changed": lambda: emails.identities_changed(user, "Added: ORCID."),
        "password_changed": lambda: emails.password_changed(user),
        "email_confirm": lambda: emails.email_confirm(user, LINK),
        "email_change_asked": lambda: emails.email_change_asked(user, "a-token"),
        "email_changed": lambda: emails.email_changed(user, "old@example.org"),
        "second_factor_changed": lambda: emails.second_factor_changed(user, "Added: a passkey."),
        "wish_asked": lambda: emails.wish_asked(wish, [user]),
        "wish_granted": lambda: emails.wish_granted(wish),
        "wish_declined": lambda: emails.wish_declined(wish),
        "invited": lambda: emails.invited(invitation, LINK),
        "disk_offered": lambda: emails.disk_offered(
            user, user, disk="a < b & c", size="20 GiB", link=LINK
        ),
        "disk_offer_answered": lambda: emails.disk_offer_answered(
            user, user, disk="a < b & c", answer="declined"
        ),
        "metadata_sent": lambda: emails.metadata_sent(
            user.email, who=user.get_full_name(), link=LINK, **DOCUMENT
        ),
        "metadata_reported": lambda: emails.metadata_reported(
            user.email, [user], who=user.get_full_name(), reference="a-uuid", **REPORTED
        ),
        "images_expiring": lambda: emails.images_expiring(
            user.email, user, images=["a < b & c"], link=LINK
        ),
        "images_endorsed": lambda: emails.images_endorsed(
            user.email, user, images=["a < b & c"], link=LINK
        ),
        "image_deprecated": lambda: emails.image_deprecated(
            user, image="a < b & c", endorser="Ali", reason="x < y & z", instead="", link=LINK
        ),
        "publication_asked": lambda: emails.publication_asked(
            user, [user], endorser="a@b.org", image="a < b & c", message="x < y & z"
        ),
        "publication_approved": lambda: emails.publication_answered(
            user, image="a < b & c", link=LINK, reason=""
        ),
        "publication_rejected": lambda: emails.publication_answered(
            user, image="a < b & c", link=LINK, reason="x < y & z"
        ),
        "image_saved": lambda: emails.image_saved(
            user,
            identifier="PcW9",
            image="a < b & c",
            machine="m",
            size="2 GiB",
            until="",
            unsigned="x < y & z",
            steps=["Sign it."],
            disk_link=LINK,
            launch_link="",
            link=LINK,
            draft=DRAFT,
        ),
        "image_saved_author": lambda: emails.image_saved_author(
            "author@example.org",
            user,
            identifier="PcW9",
            image="a < b & c",
            size="2 GiB",
            link=LINK,
            draft=DRAFT,
        ),
        # Whoever is not let in gets none.
        "notice": lambda: actions.notify(
            UserFactory(given_name=user.given_name), "lease_ending", sentence="a < b & c"
        ),
    }


def test_every_kind_of_mail_is_sent_on_some_occasion():
    assert {*sent_to(UserFactory()), "digest"} == set(letters.KINDS)


@pytest.mark.parametrize("name", sorted(set(letters.KINDS) - {"digest"}))
def test_every_mail_says_the_same_in_text_and_html_and_escapes_in_html_only(name, posted):
    person = UserFactory(
        given_name="<b>O'Hara</b>", reason="a < b & c", message="x < y & z", rejected=True
    )
    with posted() as mails:
        sent_to(person)[name]()
    message = mails[0]
    html = message.alternatives[0].content
    if name != "confirm":  # whoever reads it may never have asked
        assert "<b>O'Hara</b>" in message.body
        assert "&lt;b&gt;O&#x27;Hara" in html
    assert "<b>" not in html
    assert "&amp;" not in message.body
    assert "{" not in message.body
    assert message.subject.startswith("StratusLab: ")
    assert "\n\n\n" not in message.body.strip()
    links = set(re.findall(r"https?://\S+", message.body))
    assert links == set(re.findall(r'href="([^"]+)"', html))


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
    mail = mailbox.find(oldest.key)
    assert mail.head == oldest
    assert "Ольга" in mail.text
    assert "Ольга" in mail.html


def test_a_mail_inside_a_mail_stays_inside(files, posted):
    forged = "Subject: Security notice of your portal\nFrom: root@portal\n\nSend your password."
    message = f"Hello\n{'-' * 79}\n{forged}\n{'-' * 79}\n"
    with posted():
        emails.requested(UserFactory(message=message), [UserFactory(email="boss@example.org")])
    (found,) = mailbox.newest()
    assert found.to == "boss@example.org"
    assert "Security notice" not in found.subject
    assert "> Subject: Security notice" in mailbox.find(found.key).text


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
    assert list(mailbox.newest()) == []
    assert mailbox.find("anything") is None


@pytest.mark.parametrize("key", ["..", "../secret-key", "20260101-000000-0000000000000000"])
def test_a_key_leads_to_mails_alone(files, key):
    (files.parent / "secret-key").write_text("secret")
    files.mkdir()
    (files / "note.eml").write_text("no mail of ours")
    assert mailbox.find(key) is None
    assert list(mailbox.newest()) == []


def written(folder, number: int) -> None:
    folder.mkdir(exist_ok=True)
    for count in range(number):
        name = f"20260101-{count // 3600:02}{count // 60 % 60:02}{count % 60:02}-{count:016x}.eml"
        (folder / name).write_text(f"Subject: Mail {count}\nTo: {count}@example.org\n\nWords\n")


@pytest.mark.slow
def test_of_thousands_of_mails_those_shown_are_read(files, admin, signed_in):
    written(files, 3000)
    client = signed_in(admin)
    before = mailbox._head.cache_info().misses
    page = client.get("/mails/?page=2").content.decode()
    assert "Mail 2949" in page
    assert "of 3000 mails" in page
    assert mailbox._head.cache_info().misses - before == PAGE


def test_mails_are_found_by_address_and_subject(files, admin, signed_in):
    written(files, 120)
    page = signed_in(admin).get("/mails/?q=MAIL 7@example.org").content.decode()
    assert "Mail 117" in page
    assert "Mail 118" not in page
    assert "No mails match" in signed_in(admin).get("/mails/?q=nobody").content.decode()


def test_a_mail_is_shown_in_text_and_html_under_the_strict_policy(files, admin, signed_in, posted):
    with posted():
        emails.reset(admin, "a-token")
    key = mailbox.newest()[0].key
    answer = signed_in(admin).get(f"/mails/{key}/")
    page = answer.content.decode()
    assert re.search(r'<a href="[^"]+/reset/[^"]+/a-token/"', page)
    srcdoc = html.unescape(re.search(r'srcdoc="([^"]*)"', page)[1])
    assert srcdoc == mailbox.find(key).html
    style = re.search(r"<style>(.*?)</style>", srcdoc, re.DOTALL)[1]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in answer["Content-Security-Policy"]
    assert 'sandbox="' in page
    assert "allow-scripts" not in page
    assert "allow-same-origin" not in page


def test_with_a_mail_server_there_are_no_mails_to_read(settings, admin, signed_in):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    assert signed_in(admin).get("/mails/").status_code == 404


# The site's own words ---------------------------------------------------------------------

CONFIRM = letters.KINDS["confirm"]
REQUESTED = letters.KINDS["requested"]
OWN = letters.Wording("Hello from {site}", "Go on, {username}:\n{link}\nBye.")


@pytest.mark.parametrize("kind", letters.KINDS.values(), ids=str)
def test_the_shipped_words_are_good(kind):
    assert letters.faults(kind, letters.Wording(kind.subject, kind.text)) == []
    assert kind.required <= set(kind.placeholders)
    assert "{" not in letters.sample(kind).text


@pytest.mark.parametrize(
    ("subject", "text", "code", "field"),
    [
        (" ", "{link}", "subject_missing", "subject"),
        ("x" * 151, "{link}", "subject_too_long", "subject"),
        ("Hi", " ", "text_missing", "text"),
        ("Hi", "{link}" + "x" * 6000, "text_too_long", "text"),
        ("Hi", "{link} {nmae}", "placeholder_unknown", "text"),
        ("Hi {name}", "{link}", "placeholder_unknown", "subject"),
        ("Hi {link}", "{link}", "placeholder_not_here", "subject"),
        ("Hi", "{link} {", "brace_alone", "text"),
        ("Hi", "{link\n}", "placeholder_missing", "text"),
        ("Hi", "Go on.", "placeholder_missing", "text"),
    ],
)
def test_words_that_would_be_of_no_use_are_refused(admin, subject, text, code, field):
    words = letters.Wording(subject, text)
    found = {(fault.code, fault.field) for fault in letters.faults(CONFIRM, words)}
    assert (code, field) in found
    with pytest.raises(Refused) as refused:
        actions.change_mail_text(CONFIRM, by=admin, words=words)
    assert (refused.value.code, refused.value.field) in found
    assert not MailText.objects.exists()


def test_the_sites_own_words_are_sent_and_told_to_the_audit(admin, posted):
    actions.change_mail_text(CONFIRM, by=admin, words=OWN)
    with posted() as mails:
        emails.confirm(UserFactory(username="jane"), LINK)
    assert mails[0].subject == "StratusLab: Hello from StratusLab"
    assert mails[0].body.startswith(f"Go on, jane:\n\n{LINK}\n\nBye.")
    event = Event.objects.get(verb="mail_text_changed")
    assert (event.by, event.subject_name) == (admin, "Confirm the address")
    assert event.detail["before"]["subject"] == "Confirm your e-mail address"
    assert event.detail["after"] == {"subject": OWN.subject, "text": OWN.text}


def test_going_back_to_the_shipped_words_keeps_no_row(admin):
    actions.change_mail_text(CONFIRM, by=admin, words=OWN)
    actions.restore_mail_text(CONFIRM, by=admin)
    assert not MailText.objects.exists()
    assert Event.objects.filter(verb="mail_text_restored").count() == 1


def test_saving_what_is_there_is_no_change(admin):
    actions.change_mail_text(CONFIRM, by=admin, words=letters.wording_of(CONFIRM))
    assert not Event.objects.filter(verb="mail_text_changed").exists()


def test_of_two_administrators_who_save_the_second_is_told(admin):
    actions.change_mail_text(CONFIRM, by=admin, words=OWN, seen="")
    other = letters.Wording("Other", "{link}")
    with pytest.raises(Refused) as refused:
        actions.change_mail_text(CONFIRM, by=UserFactory(admin=True), words=other, seen="")
    assert refused.value.code == "words_changed"
    assert letters.wording_of(CONFIRM) == OWN


def test_words_for_another_release_give_way_to_the_shipped_ones(admin, caplog):
    caplog.set_level("WARNING")
    MailText.objects.create(kind="confirm", subject="Hi", text="{gone}", changed_by=admin)
    assert letters.wording_of(CONFIRM).subject == CONFIRM.subject
    assert "mail.words_unfit" in caplog.messages


def test_what_people_wrote_is_not_looked_through_for_placeholders():
    letter = letters.compose(
        REQUESTED, {"name": "{link} {message}", "message": "{username}", "username": "jane"}
    )
    assert "Registration of {link} {message} (jane)" in letter.subject
    assert "> {username}" in letter.text


def test_an_address_in_the_administrators_words_is_a_link_and_in_others_is_not():
    words = letters.Wording("Hi", "See https://help.example.org/ and {message}\n{link}")
    letter = letters.compose(REQUESTED, {"message": "https://evil.example/", "link": LINK}, words)
    assert 'href="https://help.example.org/"' in letter.html
    assert 'href="https://evil.example/"' not in letter.html


def test_a_line_whose_placeholders_are_all_empty_is_left_out():
    letter = letters.compose(REQUESTED, {"name": "Jane", "link": LINK})
    assert "X500" not in letter.text
    assert "E-mail" not in letter.text


def test_the_words_are_written_looked_at_tried_and_saved(admin, signed_in, posted):
    client, path = signed_in(admin), "/mails/texts/confirm/"
    typed = {"subject": OWN.subject, "text": OWN.text, "seen": ""}
    page = client.post(path, {**typed, "act": "look"}).content.decode()
    assert "Preview, not saved" in page
    assert "Go on, jane:" in page
    with posted() as mails:
        client.post(path, {**typed, "act": "try"})
    assert [mail.to for mail in mails] == [[admin.email]]
    assert not MailText.objects.exists()
    assert client.post(path, {**typed, "act": "save"}).status_code == 302
    assert letters.wording_of(CONFIRM) == OWN
    assert "your own" in client.get("/mails/texts/").content.decode()
    assert client.post(path, {"act": "restore"}).status_code == 302
    assert not MailText.objects.exists()


def test_what_is_wrong_stands_beside_the_field_and_nothing_typed_is_lost(admin, signed_in):
    typed = {"subject": "Hi {nobody}", "text": "Words", "seen": "", "act": "save"}
    answer = signed_in(admin).post("/mails/texts/confirm/", typed)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "This mail has no {nobody}." in page
    assert "The text needs {link}" in page
    assert "Hi {nobody}" in page
    assert "srcdoc" not in page


def test_trials_are_not_endless(admin):
    for _ in range(MOST_TRIALS):
        actions.send_trial(CONFIRM, by=admin, words=OWN)
    with pytest.raises(Refused) as refused:
        actions.send_trial(CONFIRM, by=admin, words=OWN)
    assert refused.value.code == "too_many_mails"


def test_only_administrators_word_mails(alice):
    for act in (actions.change_mail_text, actions.send_trial):
        with pytest.raises(Refused) as refused:
            act(CONFIRM, by=alice, words=OWN)
        assert refused.value.code == "not_administrator"


def test_the_foot_of_a_mail_names_the_address_for_questions(settings):
    settings.PORTAL_CONTACT = "help@cloud.example"
    letter = letters.sample(letters.KINDS["rejected"])
    assert "Questions: help@cloud.example" in letter.text
    assert "mailto:help@cloud.example" in letter.html
    assert "/login/" in letter.text


def test_what_is_attached_arrives_whole_and_administrators_read_it(files, client):
    text = "<a>\u00e9\u2028</a>\n"
    draft = outbox.Attached(name="draft.xml", type="application/rdf+xml", text=text)
    user = UserFactory()
    emails.image_saved_author(
        user.email, user, identifier="PcW9", image="", size="2 GiB", link=LINK, draft=draft
    )
    outbox.deliver()
    (head,) = mailbox.newest()
    assert mailbox.find(head.key).files == [("draft.xml", text)]
    client.force_login(UserFactory(admin=True))
    page = client.get(reverse("registration:mail", args=[head.key]))
    assert "Attached: draft.xml" in page.content.decode()
