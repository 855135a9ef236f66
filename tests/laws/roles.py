"""Everybody who may knock at a door, a world that has one of everything, and what they get."""

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.mail import send_mail
from django.db import transaction
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone

from core.models import Event, Outcome
from marketplace.identifiers import identifier_of
from marketplace.models import (
    DocumentArrival,
    Draft,
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
)
from marketplace.tests import signing
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from marketplace.trusting import pem_of
from registration import acting, actions, emails, mailbox, standing
from registration.actions import links
from registration.models import (
    ApprovalRule,
    Invitation,
    QuotaWish,
    ReasonTemplate,
    Role,
    Scope,
)
from registration.tests.factories import (
    GroupFactory,
    MembershipFactory,
    SshKeyFactory,
    UserFactory,
)
from registration.tests.proving import proved
from registration.tests.soft_key import passkey_of
from tests.doors import Door
from tests.laws.made import Made
from vms.tests.factories import VMFactory
from volumes import outgoing, protocol
from volumes.states import ExportState
from volumes.tests.factories import (
    ArrivalFactory,
    AttachmentFactory,
    ExportFactory,
    OfferFactory,
    ShareFactory,
    SnapshotFactory,
    VolumeFactory,
)

#: Where the last act leads to the sign-in page, as it should.
ENDS_AT_SIGN_IN = {"registration:reset_cancel"}
FORM = "application/x-www-form-urlencoded"
#: What a client of the tus protocol sends with each request.
TUS = {"Tus-Resumable": protocol.VERSION, "Upload-Length": "512", "Upload-Offset": "0"}
CONFIRMATION = "confirmation-of-a-mail-0123456789"
INVITATION = "invitation-of-a-mail-0123456789"


class World(Made):
    """Alice owns one of everything; Mia is a member of her group; Bob has nothing of hers."""

    def __init__(self, *, has_just_proved: bool = True) -> None:
        self.has_just_proved = has_just_proved
        self.alice, self.bob, self.mia = UserFactory(), UserFactory(), UserFactory()
        self.alice.new_email = "alice@example.com"
        self.alice.save()
        self.admin = UserFactory(admin=True)
        self.applied, self.suspended = UserFactory(applied=True), UserFactory(suspended=True)
        self.waiting = UserFactory(confirmed=True)
        self.entry = EntryFactory(alternative="small")
        self.vm = VMFactory(owner=self.alice, entry=self.entry, running=True)
        self.copy = ImageFileFactory(entry=self.entry)
        self.key = SshKeyFactory(owner=self.alice)
        self.tokens = {person.pk: self._token(person) for person in self._people()}
        self.wish = QuotaWish.objects.create(owner=self.alice, machines=9, message="For a course.")
        self.rule = ApprovalRule.objects.create(pattern="example.net", created_by=self.admin)
        self.reason = ReasonTemplate.objects.create(title="No", text="We do not know you.")
        self._groups()
        self._disks()
        self._proofs()
        self._catalogue()
        self._made_of_machines()
        self._told()

    def _people(self) -> list[Any]:
        return [self.alice, self.bob, self.mia, self.admin, self.applied, self.suspended]

    def _token(self, person: Any, scope: str = Scope.WRITE) -> Any:
        until = timezone.now() + timedelta(days=1)
        return actions.create_token(owner=person, name=scope, scope=scope, expires_at=until)

    def _groups(self) -> None:
        self.group, self.offering = GroupFactory(), GroupFactory()
        MembershipFactory(group=self.group, user=self.alice, role=Role.OWNER)
        MembershipFactory(group=self.group, user=self.mia)
        later = timezone.now() + timedelta(days=1)
        self.invitation = Invitation.objects.create(
            group=self.group, user=self.waiting, invited_by=self.alice, expires_at=later
        )
        Invitation.objects.create(
            group=self.offering, email="new@example.org", invited_by=self.bob, expires_at=later,
            digest=hashlib.sha256(INVITATION.encode()).hexdigest(),
        )  # fmt: skip
        self.offer = Invitation.objects.create(
            group=self.offering, user=self.alice, invited_by=self.bob, expires_at=later
        )

    def _disks(self) -> None:
        """Her group may read one disk of hers; the others are hers alone."""
        self.disk = VolumeFactory(owner=self.alice)
        self.share = ShareFactory(volume=self.disk, group=self.group)
        self.snapshot = SnapshotFactory(volume=self.disk)
        self.attachment = AttachmentFactory(volume__owner=self.alice, vm=self.vm)
        self.arriving = ArrivalFactory(volume__owner=self.alice).volume
        self.binned = VolumeFactory(owner=self.alice, binned=True)
        self.failed = VolumeFactory(owner=self.alice, failed=True)
        self.given = OfferFactory(volume__owner=self.bob, to=self.alice)
        self.giving = OfferFactory(volume__owner=self.alice, to=self.bob)
        self.export = ExportFactory(
            volume=self.disk,
            state=ExportState.READY,
            size_bytes=4,
            expires_at=timezone.now() + timedelta(days=1),
        )
        file = outgoing.file(self.export)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"disk")

    def _catalogue(self) -> None:
        file = self.entry.site_file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"image")
        self.said = EntryFactory(
            owner=self.alice, endorser_email=self.alice.email, visibility="group", group=self.group
        )
        self.draft = Draft.objects.create(
            owner=self.alice, create_key=uuid.uuid4(), about=DraftSource.FILE, cloud="local",
            state=DraftState.READY, sha1="00" * 20, size_bytes=512, format="raw",
            identifier=identifier_of("00" * 20),
        )  # fmt: skip
        self.pending = Pending.objects.create(
            owner=self.alice, xml=b"<a/>", email="carol@example.org",
            identifier=self.said.identifier, endorsed_at=timezone.now(),
            token_hash=hashlib.sha256(CONFIRMATION.encode()).hexdigest(),
        )  # fmt: skip
        self.arrival = DocumentArrival.objects.create(
            owner=self.alice, cloud="local", url="https://example.org/a.xml",
            state=ArrivalState.FAILED,
        )  # fmt: skip
        pem = pem_of(signing.alice().certificate)
        later = timezone.now() + timedelta(days=100)
        self.signing_key = SigningKey.objects.create(
            user=self.alice, slot=f"user:{self.alice.pk}", email=self.alice.email, certificate=pem,
            sealed="", subject="CN=Alice", fingerprint="00" * 32, not_after=later,
        )  # fmt: skip
        self.site_key = SigningKey.objects.create(
            slot="site", email="site@example.org", certificate=pem, sealed="", subject="CN=Site",
            fingerprint="11" * 32, not_after=later,
        )  # fmt: skip
        self.certificate = TrustedCertificate.objects.create(
            certificate=pem, subject="CN=Alice", fingerprint="22" * 32, not_after=later
        )
        self.source = Source.objects.create(
            cloud="local", name="Elsewhere", kind=SourceKind.STRATUSLAB,
            url="https://example.org/metadata",
        )  # fmt: skip

    def _proofs(self) -> None:
        self.passkey = passkey_of(self.alice)
        Authenticator.objects.create(user=self.alice, type="totp", data={"secret": ""})
        actions.renew_recovery_codes(self.alice)
        send_mail("Hello", "Alice", None, [self.alice.email])
        self.mail = mailbox.newest()[0].key if emails.is_kept_in_files() else "none"
        kept = {
            "iss": "https://idp.example.org", "name": "", "given_name": "", "family_name": "",
            "preferred_username": "", "email": "", "email_verified": False,
        }  # fmt: skip
        self.identity = SocialAccount.objects.create(
            user=self.alice, provider="lab", uid="alice", extra_data=kept
        )
        self.session = UserSession.objects.create(
            user=self.alice, session_key="of-another-browser", ip="192.0.2.1", user_agent=""
        )

    def path(self, door: Door) -> str:
        """A path of this door that leads to something of Alice's, or to someone to decide about."""
        values = {name: str(self._value(door.name, name)) for name in door.converters}
        path = door.path(**values)
        more = {
            "vms:launch": f"?image={self.entry.identifier}",
            "vms:export": "?format=text",
        }
        return path + more.get(door.name, "")

    def _value(self, door: str, name: str) -> Any:
        for pattern, argument, value in self._VALUES:
            if re.fullmatch(argument, name) and re.fullmatch(pattern, door):
                return value(self)
        raise LookupError(f"Nothing is known that {door} could mean by <{name}>: tell World.")

    #: Which doors mean what by a part of their path; the first that fits.
    _VALUES: tuple[tuple[str, str, Callable[["World"], Any]], ...] = (
        (r"vms:(.*_build|build.*)", "key", lambda world: world.build.uuid),
        (r"vms:(.*_batch|batch)", "key", lambda world: world.batch.uuid),
        (r"vms:batch_template", "ending", lambda world: "csv"),
        (r"vms:(backup_detail|.*_backup|backup_image)", "key", lambda world: world.backup.uuid),
        (r"vms:(.*_network|network)", "key", lambda world: world.network.uuid),
        (r"vms:detach_nic", "key", lambda world: world.nic.uuid),
        (r"vms:(.*cluster.*)", "key", lambda world: world.cluster.uuid),
        (r"vms:(.*recipe.*)", "key", lambda world: world.recipe.uuid),
        (r"vms:(delete_)?own_type", "name", lambda world: world.own_type.name),
        (r"marketplace:(inspection|clean)", "key", lambda world: world.inspection.uuid),
        (r"marketplace:inspect", "key", lambda world: world.disk.uuid),
        (r"marketplace:ask_publication", "key", lambda world: world.said.uuid),
        (r"marketplace:.*publication.*", "key", lambda world: world.publication.uuid),
        (r"marketplace:decide_publication", "verb", lambda world: "approve"),
        (r"marketplace:remove", "key", lambda world: world.said.uuid),
        (r"registration:notice_.*", "uuid", lambda world: world.notification.uuid),
        (r"registration:webhook.*", "uuid", lambda world: world.webhook.uuid),
        (r"registration:delivery_again", "uuid", lambda world: world.delivery.uuid),
        (r"api:.*", "build", lambda world: world.build.uuid),
        (r"api:.*", "backup", lambda world: world.backup.uuid),
        (r"api:.*", "batch", lambda world: world.batch.uuid),
        (r"api:ask_batch", "verb", lambda world: "shut_down"),
        (r"api:.*", "cluster", lambda world: world.cluster.uuid),
        (r"api:.*", "network", lambda world: world.network.uuid),
        (r"api:.*", "nic", lambda world: world.nic.uuid),
        (r"api:.*", "name", lambda world: world.own_type.name),
        (r"api:.*", "webhook", lambda world: world.webhook.uuid),
        (r"api:.*", "delivery", lambda world: world.delivery.uuid),
        (r"api:.*", "notification", lambda world: world.notification.uuid),
        (r"vms:.*(person|act_as).*", "key", lambda world: world.alice.uuid),
        (r"api:entry", "entry", lambda world: world.entry.uuid),
        (r"marketplace:(stop_)?copy", "key", lambda world: world.copy.uuid),
        (r"marketplace:(draft.*|sign)", "key", lambda world: world.draft.uuid),
        (r"marketplace:build_of_entry", "key", lambda world: world.said.uuid),
        (r"marketplace:(deprecate|extend|endorse|readers)", "key", lambda world: world.said.uuid),
        (r"marketplace:.*key.*", "key", lambda world: world.signing_key.uuid),
        (r"marketplace:site_certificate_of", "key", lambda world: world.site_key.uuid),
        (r"marketplace:certificate.*", "key", lambda world: world.certificate.uuid),
        (r"marketplace:.*source.*", "key", lambda world: world.source.uuid),
        (r"marketplace:act_on_source", "verb", lambda world: "on"),
        (r"marketplace:(pending.*|confirm)", "key", lambda world: world.pending.uuid),
        (r"marketplace:confirm", "token", lambda world: CONFIRMATION),
        (r"marketplace:arrival.*", "key", lambda world: world.arrival.uuid),
        (r"(marketplace:|old_)entries", "parts", lambda world: world.entry.endorser_email),
        (r"(marketplace:|old_)tag", "tag", lambda world: world.entry.alternative),
        (r"api:key", "key", lambda world: world.key.uuid),
        (r"vms:attach_disk", "key", lambda world: world.disk.uuid),
        (r"vms:detach_disk", "key", lambda world: world.attachment.uuid),
        (r"api:(one_attachment|detach_disk)", "attachment", lambda world: world.attachment.uuid),
        (r"(volumes|api):cancel.*", "(key|disk)", lambda world: world.arriving.uuid),
        (r"volumes:(upload_.*|tus_upload)", "key", lambda world: world.arriving.uuid),
        (r"(volumes|api):(purge|recover).*", "(key|disk)", lambda world: world.binned.uuid),
        (r"(volumes:dismiss|api:dismiss_disk)", "(key|disk)", lambda world: world.failed.uuid),
        (r"(volumes|api):(accept|decline)_offer", "offer", lambda world: world.given.uuid),
        (r"api:withdraw_offer", "offer", lambda world: world.giving.uuid),
        (r"volumes:withdraw_offer", "key", lambda world: world.giving.volume.uuid),
        (r"volumes:download_.*|api:download", "(key|download)", lambda world: world.export.uuid),
        (r"(volumes|api):.*", "snapshot", lambda world: world.snapshot.uuid),
        (r"(volumes|api):.*", "share", lambda world: world.share.pk),
        (r"volumes:.*|api:.*", "(key|disk)", lambda world: world.disk.uuid),
        (r"registration:mail", "key", lambda world: world.mail),
        (r"vms:.*", "key", lambda world: world.vm.uuid),
        (r"api:.*", "vm", lambda world: world.vm.uuid),
        (r"vms:.*type", "name", lambda world: "m1.small"),
        (r"vms:ask_person", "verb", lambda world: "revoke-tokens"),
        (r"(marketplace:|old_|api:).*", "identifier", lambda world: world.entry.identifier),
        (r"(marketplace:|old_|api:).*", "email", lambda world: world.entry.endorser_email),
        (r"(marketplace:|old_|api:).*", "created",
         lambda world: f"{world.entry.created_at:%Y-%m-%dT%H:%M:%SZ}"),
        (r"registration:.*rule", "uuid", lambda world: world.rule.uuid),
        (r"registration:act_on_rule", "verb", lambda world: "off"),
        (r"registration:.*reason", "uuid", lambda world: world.reason.uuid),
        (r"registration:.*wish.*", "uuid", lambda world: world.wish.uuid),
        (r"registration:decide_wish", "verb", lambda world: "grant"),
        (r"registration:(row|decide)", "uuid", lambda world: world.waiting.uuid),
        (r"registration:decide", "verb", lambda world: "approve"),
        (r"registration:.*key", "uuid", lambda world: world.key.uuid),
        (r"registration:token_revoke", "uuid", lambda world: world.tokens[world.alice.pk][0].uuid),
        (r"registration:member", "person", lambda world: world.mia.uuid),
        (r"registration:member", "verb", lambda world: "remove"),
        (r"registration:answer_invitation", "invitation", lambda world: world.offer.uuid),
        (r"registration:answer_invitation", "verb", lambda world: "accept"),
        (r"registration:withdraw_invitation", "invitation", lambda world: world.invitation.uuid),
        (r"registration:invitation", "token", lambda world: INVITATION),
        (r"registration:(.*group|invite|member|withdraw_invitation)", "uuid",
         lambda world: world.group.uuid),
        (r"registration:confirm_email", "uid", lambda world: world.applied.uuid),
        (r"registration:confirm_email", "token",
         lambda world: links.address_links.make_token(world.applied)),
        (r"registration:(new_email_(confirm|stop)|reset.*)", "uid", lambda world: world.alice.uuid),
        (r"registration:new_email_confirm", "token",
         lambda world: links.address_links.make_token(world.alice)),
        (r"registration:new_email_stop", "token",
         lambda world: links.same_address_links.make_token(world.alice)),
        (r"registration:reset.*", "token",
         lambda world: links.password_links.make_token(world.alice)),
        (r"registration:policy.*", "version", lambda world: 1),
        (r"registration:mail_text", "kind", lambda world: "activated"),
        (r"usersessions_end", "pk", lambda world: world.session.pk),
        (r"socialaccount_disconnect", "pk", lambda world: world.identity.pk),
        (r"mfa_.*webauthn", "pk", lambda world: world.passkey.pk),
        (r"(openid_connect|socialaccount)_.*", "provider_id", lambda world: "lab"),
    )  # fmt: skip

    def data(self, door: Door) -> dict[str, Any]:
        """What a form there has to hold, so that what it asks for is looked at."""
        forms: dict[str, dict[str, Any]] = {
            "registration:decide_many": {"verb": "approve", "row": [self.waiting.uuid]},
            "registration:decide_wishes": {"verb": "grant", "row": [self.wish.uuid]},
            "registration:change_group": {"name": "another name"},
            "registration:delete_group": {"typed": self.group.name},
            "registration:invite": {"whom": self.bob.username},
            "registration:invitation": {"answer": "accept"},
            "marketplace:confirm": {"answer": "no"},
            "marketplace:clean": {"found": ["1:/etc/ssh/k"], "create_key": str(uuid.uuid4())},
            "marketplace:decide_publications": {"verb": "approve", "row": [self.publication.uuid]},
            "volumes:change_share": {"access": "write"},
            "volumes:delete": {"typed": self.disk.tag},
            "volumes:downloads": {"format": "raw"},
            "vms:disks": {"disk": [self.disk.uuid], f"mode_{self.disk.uuid}": "read"},
            "vms:export": {"format": "text"},
            "vms:attach_nic": {"network": str(self.network.uuid)},
            "vms:backup": {"name": "before", "key": str(uuid.uuid4())},
            "api:vm_lease": {"expires_at": None},
            "api:vm_saving": self.image,
            "api:vm_save": {"image": self.image},
            "api:back_up": {"name": "before"},
            "api:attach_nic": {"network": str(self.network.uuid)},
            "api:webhook": {"url": "https://hooks.example.org/", "kinds": ["machine_ready"]},
            "api:disk": {"tag": "another"},
            "api:publications": {"entry": str(self.said.uuid)},
            "api:disk_share": {"access": "write"},
            "api:disk_shares": {"username": self.bob.username},
            "api:disk_snapshots": {"name": "before"},
            "api:grow_disk": {"size_gib": 9},
            "api:offer_disk": {"username": self.bob.username},
            "api:restore_snapshot": {"typed": self.snapshot.name},
            "api:disk_downloads": {"format": "raw"},
            "api:list_machine_disks": {"disk": str(self.disk.uuid), "read_only": True},
        }
        return forms.get(door.name, {})

    def clients(self) -> dict[str, "Somebody"]:
        """A browser of each role, and the token a program of theirs would send."""
        people = {
            "visitor": None, "applied": self.applied, "suspended": self.suspended,
            "other": self.bob, "member": self.mia, "owner": self.alice, "acting": self.admin,
            "administrator": self.admin,
        }  # fmt: skip
        return {role: self._somebody(role, person) for role, person in people.items()}

    def _somebody(self, role: str, person: Any) -> "Somebody":
        client = Client()
        token = self.tokens[person.pk][1] if person and role != "acting" else ""
        if person is None:
            return Somebody(client, token)
        if not person.is_active:
            self._in_session(client, lambda request: standing.remember(request, person))
            return Somebody(client, token)
        client.force_login(person)
        if self.has_just_proved:
            proved(client, person)
        if role == "acting":
            self._in_session(client, lambda request: acting.start(request, self.alice), by=person)
        return Somebody(client, token)

    def _in_session(
        self, client: Client, change: Callable[[HttpRequest], object], *, by: Any = None
    ) -> None:
        request = HttpRequest()
        request.user = by or AnonymousUser()
        request.session = client.session
        change(request)
        request.session.save()
        client.cookies[settings.SESSION_COOKIE_NAME] = request.session.session_key


@dataclass
class Somebody:
    client: Client
    token: str

    def gets(self, door: Door, method: str, path: str, data: Mapping[str, Any]) -> str:
        """What the door answers, in a word of the matrix; whatever it did is undone."""
        sent: dict[str, Any] = {}
        if door.name.startswith("api:"):
            sent = {"headers": {"Authorization": f"Bearer {self.token}"}} if self.token else {}
            if data and method in ("POST", "PATCH", "PUT"):
                sent |= {"data": json.dumps(data), "content_type": "application/json"}
        elif door.name.startswith("volumes:tus"):
            sent = {"headers": TUS, "content_type": protocol.CONTENT_TYPE}
        elif method == "POST":
            sent = {"data": urlencode(data, doseq=True), "content_type": FORM}
        client = Client()
        client.cookies = self.client.cookies.copy()
        with transaction.atomic():
            before = Event.objects.filter(outcome=Outcome.DENIED).count()
            response = client.generic(method, path, **sent)
            denied = Event.objects.filter(outcome=Outcome.DENIED).count() - before
            transaction.set_rollback(True)
        answer = answer_of(response, is_denied=bool(denied))
        is_done = answer == "sign in" and door.name in ENDS_AT_SIGN_IN
        return "open" if is_done else answer


def answer_of(response: Any, *, is_denied: bool) -> str:
    """The answer's class: "hidden" is a 404 that is written in the audit, "nothing" another."""
    status = response.status_code
    if status == 404:
        return "hidden" if is_denied else "nothing"
    if status == 401:
        return "token"
    if status == 403 or is_denied:
        return "refused"
    if status == 302:
        path = urlsplit(response.url).path
        return {"/login/": "sign in", "/profile/confirm/": "prove"}.get(path, "open")
    assert status < 500 or status == 503, (status, response.content[:500])
    return "open"
