"""The page that takes metadata documents, with and without script."""

import base64
import re
from datetime import timedelta

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from core.errors import Refused
from marketplace import documents
from marketplace.actions import uploads
from marketplace.carrying import MOST_DOCUMENTS
from marketplace.documents import Broken
from marketplace.judging import Outcome, judge, submit
from marketplace.models import Entry, Pending, SigningKey, TrustedCertificate
from marketplace.publishing import Reader
from marketplace.states import Visibility
from marketplace.tests.publishing import metadata_about, published, signed, signer_named
from marketplace.trusting import pem_of
from registration import emails
from registration.models import Attempts
from registration.tests.factories import GroupFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db

NOW = timezone.now().replace(microsecond=0) - timedelta(days=1)
PAGE = "/marketplace/upload"


@pytest.fixture
def alice():
    return UserFactory(username="alice", email="alice@example.org")


@pytest.fixture
def signed_in(client, alice):
    client.force_login(alice)
    return client


def file(xml: bytes, name: str = "debian.xml") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, xml, content_type="application/xml")


def carried(answer) -> list[bytes]:
    """The documents that an answer of the page carries."""
    found = re.findall(r'name="document" value="([^"]*)"', answer.content.decode())
    return [base64.b64decode(text) for text in found]


def buttons(answer, act: str) -> list[str]:
    """What the buttons for this send, one of each document."""
    return re.findall(rf'name="act" value="({act}:\w+)"', answer.content.decode())


def again(answer, act: str, **more):
    """What the form of an answer sends when this button is pressed."""
    text = answer.content.decode()
    return {
        "act": act,
        "name": re.findall(r'name="name" value="([^"]*)"', text),
        "document": re.findall(r'name="document" value="([^"]*)"', text),
        "visibility": "public",
        **more,
    }


# Judging


def test_ones_own_address_needs_no_mail(alice):
    judged = judge(signed(at=NOW), by=alice)
    assert (judged.outcome, judged.why) == (Outcome.PUBLISHED, "Its endorser has your own address.")
    assert judged.is_own


@pytest.mark.parametrize(
    "person",
    [
        None,
        {"username": "bob"},
        {"email": "alice@example.org", "email_confirmed_at": None},
    ],
    ids=["nobody", "somebody else", "an address that was never confirmed"],
)
def test_others_need_the_word_of_the_addresss_owner(person):
    by = UserFactory(**person) if person else None
    assert judge(signed(at=NOW), by=by).outcome is Outcome.MAILED


def test_the_key_that_the_site_keeps_for_somebody_speaks_for_them_alone(alice):
    signer = signer_named("old@example.org")
    keep(signer, user=alice)
    xml = signed(signer=signer, email="old@example.org", at=NOW)
    assert judge(xml, by=alice).why == "It is signed with the key that this site keeps for you."
    assert judge(xml, by=UserFactory()).outcome is Outcome.MAILED


def test_the_sites_own_key_speaks_for_administrators():
    signer = signer_named("portal@example.org")
    keep(signer)
    xml = signed(signer=signer, email="portal@example.org", at=NOW)
    assert judge(xml, by=UserFactory(admin=True)).is_own
    assert judge(xml, by=UserFactory()).outcome is Outcome.MAILED


def keep(signer, user=None) -> None:
    SigningKey.objects.create(
        user=user, email="", certificate="", sealed="", subject="", not_after=timezone.now(),
        fingerprint=judged_fingerprint(signer),
    )  # fmt: skip


def judged_fingerprint(signer) -> str:
    return documents.verify(signed(signer=signer, at=NOW)).fingerprint


def listed(signer, *, skips_mail=True, **more) -> TrustedCertificate:
    return TrustedCertificate.objects.create(
        certificate=pem_of(signer.certificate), subject="CN=Alice", skips_mail=skips_mail,
        fingerprint=judged_fingerprint(signer),
        not_after=more.pop("not_after", timezone.now() + timedelta(days=9)), **more,
    )  # fmt: skip


def test_a_certificate_that_is_let_in_needs_no_mail_and_the_entry_is_nobodys():
    signer = signer_named("alice@example.org")
    listed(signer)
    xml = signed(signer=signer, at=NOW)
    assert judge(xml).outcome is Outcome.PUBLISHED
    entry = submit(xml, by=UserFactory(username="bob"))
    assert entry.owner is None
    assert entry.trust == "trusted"


def test_a_certificate_that_is_only_trusted_needs_a_mail():
    signer = signer_named("alice@example.org")
    listed(signer, skips_mail=False)
    assert judge(signed(signer=signer, at=NOW)).outcome is Outcome.MAILED


def test_a_certificate_that_is_over_lets_nothing_in():
    signer = signer_named("alice@example.org", ends=NOW + timedelta(hours=1))
    listed(signer)
    judged = judge(signed(signer=signer, at=NOW))
    assert judged.outcome is Outcome.MAILED
    assert judged.preview().trust == "untrusted"


def test_every_fault_is_told_at_once():
    xml = documents.write(metadata_about(b"hello", os="x" * 99))
    judged = judge(xml)
    assert judged.outcome is Outcome.REFUSED
    told = {problem.code: problem for problem in judged.problems}
    assert "no_signature" in told
    assert "slterms:os" in {problem.element for problem in judged.problems}
    assert any(problem.line for problem in judged.problems)


def test_a_document_that_is_too_large_is_refused_before_it_is_read(settings):
    settings.PORTAL_METADATA_KIB = 1
    assert judge(signed(at=NOW)).problems[0].code == "too_large"


def test_an_older_word_is_told_when_it_is_judged(alice):
    published(at=NOW)
    judged = judge(signed(at=NOW - timedelta(hours=1)), by=alice)
    assert judged.problems[0].code == "older"
    with pytest.raises(Broken, match="older than latest entry"):
        submit(judged.xml, by=alice)


def test_a_stranger_is_not_told_of_what_only_others_may_read(alice):
    readers = Reader(visibility=Visibility.PRIVATE)
    xml = signed(at=NOW)
    entry = submit(xml, by=alice, readers=readers)
    older = signed(at=NOW - timedelta(hours=1))
    assert judge(older, by=UserFactory()).outcome is Outcome.MAILED
    assert judge(xml).outcome is Outcome.MAILED
    assert judge(older, by=alice).outcome is Outcome.REFUSED
    assert judge(xml, by=alice).entry == entry


def test_what_is_here_already_is_that_entry(alice):
    entry = published(at=NOW)
    judged = judge(bytes(entry.document.xml))
    assert (judged.outcome, judged.entry) == (Outcome.KNOWN, entry)
    assert submit(judged.xml, by=None) == entry
    assert not Pending.objects.exists()


# Submitting


def test_only_the_endorser_chooses_its_readers(alice):
    group = GroupFactory()
    readers = Reader(visibility=Visibility.GROUP, group=group)
    with pytest.raises(Refused) as refused:
        submit(signed(at=NOW), by=UserFactory(), readers=readers)
    assert refused.value.code == "readers"
    with pytest.raises(Refused) as refused:
        submit(signed(at=NOW), by=alice, readers=readers)
    assert refused.value.code == "not_member"
    MembershipFactory(group=group, user=alice)
    entry = submit(signed(at=NOW), by=alice, readers=readers)
    assert (entry.visibility, entry.group, entry.owner) == ("group", group, alice)
    assert not Pending.objects.exists()


def test_an_account_that_is_not_active_publishes_nothing():
    person = UserFactory(suspended=True, email="alice@example.org")
    with pytest.raises(Refused, match="not active"):
        submit(signed(at=NOW), by=person)


def test_documents_of_one_address_are_counted():
    for _ in range(uploads.MOST_OF_AN_ADDRESS):
        uploads.must_not_be_many(by=None, address="192.0.2.7")
    with pytest.raises(Refused, match="60 documents") as refused:
        uploads.must_not_be_many(by=None, address="192.0.2.7")
    assert refused.value.code == "too_many_documents"
    uploads.must_not_be_many(by=None, address="192.0.2.8")


# The page


def test_the_page_is_open_to_everybody(client):
    text = client.get(PAGE).content.decode()
    assert "Upload metadata" in text
    assert "Sign in" in text
    assert 'name="visibility"' not in text


def test_a_file_is_checked_then_published(signed_in, alice):
    xml = signed(at=NOW, title="Debian <b>")
    answer = signed_in.post(PAGE, {"act": "check", "file": file(xml), "visibility": "public"})
    text = answer.content.decode()
    assert answer.status_code == 200
    assert "It would be published at once" in text
    assert "Debian &lt;b&gt;" in text
    assert carried(answer) == [xml]
    assert not Entry.objects.exists()

    answer = signed_in.post(PAGE, again(answer, "publish"))
    entry = Entry.objects.get()
    assert (entry.owner, bytes(entry.document.xml)) == (alice, xml)
    assert answer.status_code == 302  # a reload sends nothing again
    answer = signed_in.get(answer["Location"])
    assert "Published: 1." in answer.content.decode()
    assert entry.permalink in answer.content.decode()
    assert carried(answer) == []
    assert entry.permalink not in signed_in.get(PAGE).content.decode()


def test_one_bad_file_of_three_is_told_and_the_others_go_on(signed_in):
    files = [file(signed(content, at=NOW), f"{content!r}.xml") for content in (b"one", b"two")]
    bad = file(b"<rdf:RDF>\n<oops", "bad.xml")
    answer = signed_in.post(PAGE, {"act": "check", "file": [*files, bad], "visibility": "public"})
    assert answer.status_code == 422
    text = answer.content.decode()
    assert "Not published" in text
    assert "Line 2:" in text
    answer = signed_in.post(PAGE, again(answer, "publish"))
    assert "Published: 2. Not published: 1; see below." in answer.content.decode()
    assert Entry.objects.count() == 2
    assert carried(answer) == [b"<rdf:RDF>\n<oops"]  # nothing is lost


def test_who_is_in_no_group_is_not_offered_one(signed_in, alice):
    assert b"A group that I am in" not in signed_in.get(PAGE).content
    MembershipFactory(user=alice)
    assert b"A group that I am in" in signed_in.get(PAGE).content


def test_a_validity_that_is_over_is_told_before_it_is_published(signed_in):
    xml = signed(at=NOW, valid=NOW - timedelta(days=2))
    answer = signed_in.post(PAGE, {"file": file(xml)})
    assert b"Its validity is over" in answer.content


def test_a_group_that_was_not_chosen_publishes_nothing_and_loses_nothing(signed_in, alice):
    MembershipFactory(user=alice)
    xml = signed(at=NOW)
    answer = signed_in.post(PAGE, {"act": "check", "file": file(xml), "visibility": "public"})
    answer = signed_in.post(PAGE, again(answer, "publish", visibility="group"))
    assert answer.status_code == 422
    assert b"Choose the group that may read it" in answer.content
    assert carried(answer) == [xml]
    assert not Entry.objects.exists()


def test_a_private_entry(signed_in):
    answer = signed_in.post(PAGE, {"file": file(signed(at=NOW))})
    signed_in.post(PAGE, again(answer, "publish", visibility="private"))
    assert Entry.objects.get().visibility == "private"


def test_pasted_text_is_the_file_that_it_was(signed_in):
    xml = signed(at=NOW)
    pasted = xml.decode().replace("\n", "\r\n")
    answer = signed_in.post(PAGE, {"text": pasted})
    assert carried(answer) == [xml.strip() + b"\n"]
    signed_in.post(PAGE, again(answer, "publish", text=pasted))
    assert Entry.objects.count() == 1


def test_pasted_text_with_a_fault_stays_in_its_field(signed_in):
    answer = signed_in.post(PAGE, {"text": "<rdf:RDF> & so on"})
    assert answer.status_code == 422
    assert b"&lt;rdf:RDF&gt; &amp; so on</textarea>" in answer.content


def test_new_files_are_looked_at_before_they_are_published(signed_in):
    answer = signed_in.post(PAGE, {"file": file(signed(b"one", at=NOW))})
    more = again(answer, "publish", file=file(signed(b"two", at=NOW), "two.xml"))
    answer = signed_in.post(PAGE, more)
    assert Entry.objects.count() == 1
    assert "two.xml" in answer.content.decode()


def test_the_same_document_twice_stands_there_once(signed_in):
    xml = signed(at=NOW)
    answer = signed_in.post(PAGE, {"file": [file(xml), file(xml, "copy.xml")]})
    assert len(carried(answer)) == 1


def test_a_document_can_be_removed(signed_in):
    files = [file(signed(content, at=NOW), f"{content!r}.xml") for content in (b"one", b"two")]
    answer = signed_in.post(PAGE, {"file": files})
    _, second = carried(answer)
    answer = signed_in.post(PAGE, again(answer, buttons(answer, "drop")[0]))
    assert carried(answer) == [second]


def test_a_preview_shows_the_entrys_page_and_publishes_nothing(signed_in):
    answer = signed_in.post(PAGE, {"file": file(signed(at=NOW, description="Small. Really."))})
    shown = signed_in.post(PAGE, again(answer, *buttons(answer, "preview")))
    text = shown.content.decode()
    assert "This is a preview" in text
    assert "<dt>Listed</dt><dd>not yet</dd>" in text
    assert "Not published; valid once it is" in text
    assert "SHA-256" in text
    assert "Small." in text
    assert not Entry.objects.exists()
    assert signed_in.post(PAGE, again(answer, "preview:7")).status_code == 404


def test_a_list_of_a_marketplace_is_each_of_its_documents(signed_in):
    xmls = [signed(content, at=NOW) for content in (b"one", b"two")]
    listing = b"".join(documents.wrap_list(xmls))
    answer = signed_in.post(PAGE, {"file": file(listing, "list.xml")})
    text = answer.content.decode()
    assert "list.xml, document 2" in text
    signed_in.post(PAGE, again(answer, "publish"))
    assert Entry.objects.count() == 2


def test_in_another_name_a_mail_goes_out_and_the_page_shows_that_it_waits(client):
    bob = UserFactory(username="bob")
    client.force_login(bob)
    answer = client.post(PAGE, {"file": file(signed(at=NOW)), "visibility": "public"})
    assert b"A mail would go to alice@example.org" in answer.content
    answer = client.post(PAGE, again(answer, "publish"), follow=True)
    assert b"A mail has gone to alice@example.org" in answer.content
    assert b"Waiting for their endorser" in answer.content
    emails.settle()
    assert mail.outbox[-1].to == ["alice@example.org"]
    pending = Pending.objects.get()
    row = reverse("marketplace:pending", args=[pending.uuid])
    assert b"Waiting for the endorser" in client.get(row).content
    client.force_login(UserFactory())
    assert client.get(row).status_code == 404


def test_nobody_in_particular_may_send_a_document_too(client):
    answer = client.post(PAGE, {"file": file(signed(at=NOW))})
    client.post(PAGE, again(answer, "publish"))
    assert Pending.objects.get().owner is None


def test_a_script_gets_the_lines_of_what_it_sent(signed_in):
    headers = {"HTTP_X_REQUESTED_WITH": "fetch"}
    answer = signed_in.post(PAGE, {"act": "check", "file": file(b"<a>")}, **headers)
    assert answer.status_code == 200
    assert answer.content.count(b"data-document") == 1
    assert b"<html" not in answer.content


def test_what_does_not_come_back_whole_is_told(signed_in):
    answer = signed_in.post(PAGE, {"name": "x.xml", "document": "no base64!"})
    assert answer.status_code == 422
    assert b"did not come back whole" in answer.content


def test_a_page_takes_so_many_documents(signed_in, monkeypatch):
    monkeypatch.setattr("marketplace.carrying.MOST_DOCUMENTS", 1)
    files = [file(signed(content, at=NOW), f"{content!r}.xml") for content in (b"one", b"two")]
    answer = signed_in.post(PAGE, {"file": files})
    assert b"was left out" in answer.content
    assert len(carried(answer)) == 1


def test_a_file_that_is_too_large_is_not_read(signed_in, settings):
    settings.PORTAL_METADATA_KIB = 1
    answer = signed_in.post(PAGE, {"file": file(b"x" * 3000, "large.xml")})
    assert b"It has 2.9 KiB; a document has at most 1 KiB." in answer.content


def test_the_page_asks_as_often_for_many_that_wait(signed_in, alice, django_assert_max_num_queries):
    for number in range(8):
        Pending.objects.create(
            owner=alice, xml=b"", email=f"{number}@example.org", identifier="A" * 27,
            endorsed_at=NOW, token_hash="",
        )  # fmt: skip
    with django_assert_max_num_queries(12):
        signed_in.get(PAGE)


def test_a_list_of_too_many_is_cut_before_anything_is_judged(client):
    many = b"".join(b"<a>%d</a>" % number for number in range(2000))
    answer = client.post(PAGE, {"text": f"<metadata>{many.decode()}</metadata>"})
    assert Attempts.objects.get().count == MOST_DOCUMENTS  # counted before each is judged
    assert b"1,950 of Pasted text were left out" in answer.content
    assert answer.content.count(b"left out") == 2  # once on the page, once for a script


def test_each_document_of_a_list_is_counted(client):
    two = b"".join(documents.wrap_list([b"<a>1</a>", b"<a>2</a>"]))
    for _ in range(uploads.MOST_OF_AN_ADDRESS // 2):
        assert b"not looked at" not in client.post(PAGE, {"text": two.decode()}).content
    answer = client.post(PAGE, {"text": two.decode()})
    assert b"60 documents came from you" in answer.content


def test_documents_that_a_page_brings_back_are_counted_and_none_is_lost(client, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_TIMES", 0)
    xml = signed(at=NOW)
    back = {"act": "publish", "name": "a.xml", "document": base64.b64encode(xml).decode()}
    answer = client.post(PAGE, back)
    assert b"It was not looked at." in answer.content
    assert carried(answer) == [xml]
    assert not Pending.objects.exists()


def test_each_file_that_cannot_be_carried_has_a_line_of_its_own(client, settings):
    settings.PORTAL_METADATA_KIB = 1
    files = [file(b"x" * 3000, "one.img"), file(b"", "two.xml"), file(b"y" * 3000, "three.img")]
    answer = client.post(PAGE, {"file": files})
    assert answer.content.count(b"data-document") == 3
    assert b"sign it again" not in answer.content
