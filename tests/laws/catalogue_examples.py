"""One example of every action of the Marketplace."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import pkcs12
from django.utils import timezone

from marketplace import actions as catalogue
from marketplace.actions.policy import Line
from marketplace.certificates import pem_of_key
from marketplace.composing import Said
from marketplace.identifiers import identifier_of
from marketplace.models import (
    DocumentArrival,
    Draft,
    Entry,
    Pending,
    SigningKey,
    Source,
    TrustedCertificate,
)
from marketplace.states import (
    ArrivalState,
    DraftSource,
    DraftState,
    SourceKind,
    Visibility,
)
from marketplace.tests import publishing, signing
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from marketplace.trusting import pem_of
from registration import sealing
from registration.tests.factories import GroupFactory, MembershipFactory

CONFIRMATION = "the-token-of-a-confirmation-by-mail"
SHA1 = hashlib.sha1(b"an image").hexdigest()  # noqa: S324


def later(days: int = 100) -> Any:
    return timezone.now().replace(microsecond=0) + timedelta(days=days)


def keep_key(case: Any, user: Any, email: str) -> SigningKey:
    """A key that the portal keeps for this person, or without one for the site."""
    signer = signing.alice(email)
    assert isinstance(signer.key, RSAPrivateKey)
    return SigningKey.objects.create(
        user=user, slot=f"user:{user.pk}" if user else "site", email=email,
        certificate=pem_of(signer.certificate),
        sealed=sealing.seal(case.secret(pem_of_key(signer.key))),
        subject="CN=Alice", fingerprint=uuid4().hex * 2, not_after=later(),
    )  # fmt: skip


def pen(case: Any) -> Any:
    if not SigningKey.objects.filter(user=case.alice).exists():
        keep_key(case, case.alice, case.alice.email)
    return catalogue.pen_of_key(case.alice)


def said(case: Any, **more: Any) -> Entry:
    """An entry of Alice's, with its document."""
    signer = signing.alice(case.alice.email)
    return catalogue.sign_and_publish(
        publishing.metadata_about(b"an image"), signer=signer, email=case.alice.email,
        owner=case.alice, by=case.alice, **more,
    )  # fmt: skip


def draft(case: Any, **more: Any) -> Draft:
    known = {"about": DraftSource.FILE, "state": DraftState.READY, "url": ""} | more
    return Draft.objects.create(
        owner=case.alice, create_key=uuid4(), cloud="local", identifier=identifier_of(SHA1),
        size_bytes=8, sha1=SHA1, format="raw", **known,
    )  # fmt: skip


def answers() -> Said:
    return Said(title="Debian", valid=later(), locations=["https://images.example.org/a.img"])


def measured() -> Any:
    return catalogue.Measured(
        name="a.img", size_bytes=8, sha1=SHA1, sha256="", sha512="", format="raw"
    )


def source(case: Any, **more: Any) -> Source:
    return Source.objects.create(
        cloud="local", name="Elsewhere", kind=SourceKind.STRATUSLAB,
        url="https://example.org/metadata", **more,
    )  # fmt: skip


def wish(name: str = "Elsewhere") -> Any:
    return catalogue.SourceWish(
        name=name, kind=SourceKind.STRATUSLAB, url="https://example.org/metadata"
    )


def trusted() -> TrustedCertificate:
    return TrustedCertificate.objects.create(
        certificate=pem_of(signing.alice().certificate), subject="CN=Alice",
        fingerprint="22" * 32, not_after=later(),
    )  # fmt: skip


def waiting(case: Any) -> Any:
    """A document that waits for Carol, and her link."""
    xml = publishing.signed(at=timezone.now().replace(microsecond=0))
    token = case.secret(CONFIRMATION)
    pending = Pending.objects.create(
        owner=case.alice, xml=xml, email="alice@example.org", identifier=identifier_of(SHA1),
        endorsed_at=timezone.now(), token_hash=hashlib.sha256(token.encode()).hexdigest(),
    )  # fmt: skip
    return pending.uuid, token


def arrival(case: Any) -> DocumentArrival:
    return DocumentArrival.objects.create(
        owner=case.alice, cloud="local", url="https://example.org/a.xml", state=ArrivalState.FAILED
    )


def group_of(case: Any) -> Any:
    group = GroupFactory()
    MembershipFactory(group=group, user=case.alice)
    return catalogue.Reader(visibility=Visibility.GROUP, group=group)


def ended(case: Any) -> None:
    key = keep_key(case, case.alice, case.alice.email)
    catalogue.end_key(key, by=case.alice)


def p12(case: Any) -> None:
    signer = signing.alice(case.alice.email)
    how = serialization.BestAvailableEncryption(case.secret("quiet-lake").encode())
    data = pkcs12.serialize_key_and_certificates(b"me", signer.key, signer.certificate, None, how)
    made = catalogue.pen_of_file(data, "quiet-lake", user=case.alice)
    catalogue.deprecate(said(case), by=case.alice, reason="It is old.", pen=made)


def evicted() -> None:
    ImageFileFactory(ready=True, kept_bytes=1 << 50)
    assert catalogue.evict("local", ()) == 1


def let_go() -> None:
    ImageFileFactory(state="fetching")
    assert catalogue.let_go("local", ()) == 1


def someone_elses() -> Entry:
    return EntryFactory(endorser_email="eve@example.org", locations=["https://example.org/a.img"])


CATALOGUE: Mapping[str, Callable[[Any], object]] = {
    "add_source": lambda case: catalogue.add_source(wish(), by=case.admin),
    "change_certificate": lambda case: catalogue.change_certificate(
        trusted(), by=case.admin, is_authority=False, skips_mail=True, note="Ours"
    ),
    "change_policy": lambda case: catalogue.change_policy(
        catalogue.PolicyChange(added=[Line("endorser", "black", "eve@example.org")]), by=case.admin
    ),
    "change_source": lambda case: catalogue.change_source(
        source(case), wish("Another"), by=case.admin
    ),
    "confirm_document": lambda case: catalogue.confirm_document(*waiting(case)),
    "deprecate": lambda case: catalogue.deprecate(
        said(case), by=case.alice, reason="It is old.", pen=pen(case)
    ),
    "distrust_certificate": lambda case: catalogue.distrust_certificate(trusted(), by=case.admin),
    "draft_of_disk": lambda case: catalogue.draft_of_disk(
        case.disk(), by=case.alice, create_key=uuid4()
    ),
    "draft_of_entry": lambda case: catalogue.draft_of_entry(
        said(case), by=case.alice, create_key=uuid4(), fields={}
    ),
    "draft_of_file": lambda case: catalogue.draft_of_file(
        measured(), by=case.alice, create_key=uuid4()
    ),
    "draft_of_url": lambda case: catalogue.draft_of_url(
        "https://example.org/a.img", by=case.alice, create_key=uuid4()
    ),
    "drop_draft": lambda case: catalogue.drop_draft(draft(case), by=case.alice),
    "end_key": ended,
    "endorse_again": lambda case: catalogue.endorse_again(
        someone_elses(), by=case.alice, until=later(), pen=pen(case)
    ),
    "ensure_image": lambda case: catalogue.ensure_image(EntryFactory(), "local"),
    "evict": lambda case: evicted(),
    "extend": lambda case: catalogue.extend(
        said(case), by=case.alice, until=later(150), pen=pen(case)
    ),
    "fetch_again": lambda case: catalogue.fetch_again(arrival(case), by=case.alice),
    "fetch_document": lambda case: catalogue.fetch_document(
        "https://example.org/a.xml", owner=case.alice
    ),
    "image_for": lambda case: catalogue.image_for(EntryFactory(), "local"),
    "image_lost": lambda case: (
        image := ImageFileFactory(ready=True)
    ) and catalogue.image_lost(image.identifier, "local"),
    "let_go": lambda case: let_go(),
    "stop_image": lambda case: catalogue.stop_image(
        ImageFileFactory(state="fetching"), by=case.admin
    ),
    "import_source": lambda case: catalogue.import_source(
        source(case, state="due"), by=case.admin
    ),
    "measure_again": lambda case: catalogue.measure_again(
        draft(case, about=DraftSource.URL, url="https://example.org/a.img", state="failed"),
        by=case.alice,
    ),
    "new_key": lambda case: (
        keep_key(case, None, "site@example.org") and catalogue.new_key(case.alice, case.alice)
    ),
    "pen_of_file": p12,
    "publish_document": lambda case: catalogue.publish_document(
        publishing.signed(at=timezone.now().replace(microsecond=0)), owner=None
    ),
    "publish_draft": lambda case: catalogue.publish_draft(
        draft(case), by=case.alice, said=answers(), pen=pen(case), readers=catalogue.EVERYBODY
    ),
    "refuse_document": lambda case: catalogue.refuse_document(*waiting(case)),
    "remove_source": lambda case: catalogue.remove_source(source(case), by=case.admin),
    "report_document": lambda case: catalogue.report_document(*waiting(case)),
    "set_readers": lambda case: catalogue.set_readers(
        said(case), by=case.alice, readers=group_of(case)
    ),
    "sign_and_publish": said,
    "submit": lambda case: catalogue.submit(
        publishing.signed(at=timezone.now().replace(microsecond=0)), by=None, address="192.0.2.1"
    ),
    "switch_source": lambda case: catalogue.switch_source(source(case), is_on=True, by=case.admin),
    "trust_certificate": lambda case: catalogue.trust_certificate(
        pem_of(signing.alice().certificate).encode(), by=case.admin
    ),
    "withdraw_document": lambda case: catalogue.withdraw_document(
        Pending.objects.get(uuid=waiting(case)[0]), by=case.alice
    ),
}  # fmt: skip
#: They change nothing that the audit is about: they look, count, or hold for one request.
READS = {
    "ends_soon", "keep_draft", "key_of", "metadata_of", "note_launch", "note_tested",
    "pen_of_key", "pen_of_site", "reader", "signer_of", "site_address", "site_keys",
}  # fmt: skip
