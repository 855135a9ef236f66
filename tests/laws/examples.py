"""One example of every action: what it takes to do it for real, and the secrets that pass by."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.core.mail import EmailMessage, get_connection
from django.test import override_settings
from django.utils import timezone

from cloud.images import BuiltImage
from marketplace import actions as catalogue
from marketplace.actions import site_address
from marketplace.tests.factories import EntryFactory
from registration import actions, letters, mailbox
from registration.actions import links
from registration.identities.said import Identity
from registration.models import ApprovalRule, Invitation, QuotaWish, ReasonTemplate, Role
from registration.tests import browsing
from registration.tests.factories import (
    PASSWORD,
    GroupFactory,
    MembershipFactory,
    SshKeyFactory,
    UserFactory,
)
from registration.tests.soft_key import SoftKey, passkey_of
from tests.laws import catalogue_examples, made_examples
from tests.laws.catalogue_examples import keep_key
from vms import actions as machines
from vms.models import InstanceType
from vms.states import VmState
from vms.tests.factories import VMFactory
from volumes import actions as disks
from volumes.actions.fetches import Wanted
from volumes.states import VolumeState
from volumes.tests.factories import (
    ArrivalFactory,
    AttachmentFactory,
    ExportFactory,
    OfferFactory,
    ShareFactory,
    SnapshotFactory,
    VolumeFactory,
)

NEW_PASSWORD = "quiet-lake-under-snow-44"
INVITATION = "the-token-of-an-invitation-by-mail"


class Case:
    """Alice, an administrator, and what an example needs of theirs; ``secrets`` that it used."""

    def __init__(self) -> None:
        self.alice = UserFactory(username="alice", new_email="alice@example.com")
        self.admin = UserFactory(username="ops", admin=True)
        self.secrets = [PASSWORD, NEW_PASSWORD, browsing.SECRET, INVITATION]

    def secret(self, text: str) -> str:
        self.secrets.append(text)
        return text

    def vm(self, **more: Any) -> Any:
        return VMFactory(owner=self.alice, **({"running": True} | more))

    def disk(self, **more: Any) -> Any:
        return VolumeFactory(owner=self.alice, **more)

    def key(self, **more: Any) -> Any:
        return SshKeyFactory(owner=self.alice, **more)

    def token(self) -> tuple[Any, str]:
        until = timezone.now() + timedelta(days=9)
        row, text = actions.create_token(
            owner=self.alice, name="backup", scope="read", expires_at=until
        )
        self.secrets += [text, row.digest]
        return row, text

    def wish(self, **more: Any) -> Any:
        return QuotaWish.objects.create(owner=self.alice, machines=9, message="More", **more)

    def group(self) -> Any:
        group = GroupFactory()
        MembershipFactory(group=group, user=self.alice, role=Role.OWNER)
        return group

    def member(self, group: Any) -> Any:
        return MembershipFactory(group=group).user

    def offer(self) -> Any:
        later = timezone.now() + timedelta(days=1)
        digest = self.secret(hashlib.sha256(INVITATION.encode()).hexdigest())
        return Invitation.objects.create(
            group=GroupFactory(), user=self.alice, invited_by=self.admin, expires_at=later,
            digest=digest,
        )  # fmt: skip

    def rule(self) -> Any:
        return ApprovalRule.objects.create(pattern="lab.example.org", created_by=self.admin)

    def reason(self) -> Any:
        return ReasonTemplate.objects.create(title="No", text="We do not know you.")

    def who_waits(self) -> Any:
        return UserFactory(confirmed=True, email="bob@lab.example.org")

    def address_link(self, user: Any) -> tuple[Any, str]:
        return user.uuid, self.secret(links.address_links.make_token(user))

    def password_link(self) -> tuple[Any, str]:
        return self.alice.uuid, self.secret(links.password_links.make_token(self.alice))

    def with_app(self) -> Any:
        browsing.with_app(self.alice)
        self.secrets += actions.recovery_codes(self.alice) or []
        self.secrets += [row.data.get("secret", "") for row in self.factors() if row.data]
        self.secrets = [secret for secret in self.secrets if secret]
        return self.alice

    def factors(self) -> Any:
        return Authenticator.objects.filter(user=self.alice)

    def identity(self) -> Any:
        kept = {"iss": "", "name": "", "given_name": "", "family_name": "",
                "preferred_username": "", "email": "", "email_verified": False}  # fmt: skip
        return SocialAccount.objects.create(
            user=self.alice, provider="lab", uid="a", extra_data=kept
        )

    def session(self) -> Any:
        key = self.secret("key-of-another-session")
        return UserSession.objects.create(
            user=self.alice, session_key=key, ip="192.0.2.1", user_agent=""
        )

    def passkey_signs(self, *, alone: bool) -> None:
        key = SoftKey()
        browsing.add_passkey(self.alice, key)
        client = browsing.browser()
        if alone:
            browsing.sign_in_with_passkey(client, key)
            return
        browsing.give_password(client, self.alice)
        page = client.get("/login/second-step/").text
        client.post("/login/second-step/", {"credential": key.sign(browsing.options_in(page))})


def said(**more: Any) -> Identity:
    return Identity(provider="lab", subject="s-1", issuer="https://idp.example.org", **more)


def application(**more: Any) -> actions.Application:
    wanted = {
        "username": "carol", "email": "carol@example.org", "given_name": "Carol",
        "family_name": "Lab", "password": NEW_PASSWORD, "has_agreed": True,
    }  # fmt: skip
    return actions.Application(**wanted | more)


def request_of(user: Any, **more: Any) -> actions.Request:
    wanted = {"username": user.username, "email": user.email, "given_name": "Jane"}
    return actions.Request(**wanted | {"family_name": "Doe", "message": "Please."} | more)


def public_key() -> str:
    public = Ed25519PrivateKey.generate().public_key()
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " laptop"


def built() -> BuiltImage:
    return BuiltImage(
        path=Path("/nowhere"), format="qcow2", size_bytes=9, virtual_size_bytes=1 << 20,
        sha1="a" * 40, sha256="b" * 64, sha512="c" * 128, os="Linux", os_version="1",
        version="1", title="Demo", description="A demo.", packages=(("busybox", "1.35"),),
    )  # fmt: skip


def order() -> machines.Order:
    size = {"type_name": "m1.small", "vcpus": 1, "memory_mib": 512}
    return machines.Order(entry=EntryFactory(), name="web", ssh_keys=[public_key()], **size)


KIND = next(iter(letters.KINDS.values()))
WORDS = letters.Wording(f"Anew: {KIND.subject}", KIND.text)

Example = Callable[[Case], object]


def _apply_again(case: Case) -> None:
    user = UserFactory(withdrawn=True)
    actions.apply_again(user, request_of(user))


def _undo_wish(case: Case) -> None:
    wish = case.wish()
    actions.decline_wish(wish, by=case.admin, reason="Too many.")
    actions.reconsider_wish(wish, by=case.admin)


def _restore_mail(case: Case) -> None:
    actions.change_mail_text(KIND, by=case.admin, words=WORDS)
    actions.restore_mail_text(KIND, by=case.admin)


def _open_mail(case: Case) -> None:
    letter = EmailMessage("New password", str(case.password_link()), to=[case.alice.email])
    with TemporaryDirectory() as folder, override_settings(EMAIL_FILE_PATH=folder):
        get_connection("registration.filebased.EmailBackend").send_messages([letter])
        assert actions.open_mail(mailbox.newest()[0].key, by=case.admin)


def _first_administrator(case: Case) -> None:
    case.admin.__class__.objects.filter(pk=case.admin.pk).update(is_staff=False)
    actions.create_administrator(username="root_1", email="r@example.org", password=NEW_PASSWORD)


def _by_rule(case: Case) -> None:
    case.rule()
    actions.by_rule(case.who_waits())


def _closed_enters(case: Case) -> None:
    actions.enter_through(UserFactory(suspended=True), provider="lab")


ACCOUNTS: Mapping[str, Example] = {
    "accept_invitation": lambda case: actions.accept_invitation(case.offer(), by=case.alice),
    "act_as": lambda case: actions.act_as(case.alice, by=case.admin, reason="To help."),
    "add_app": lambda case: actions.add_app(
        case.alice, secret=browsing.SECRET, code=case.secret(browsing.code_of())
    ),
    "add_key": lambda case: actions.add_key(owner=case.alice, text=public_key()),
    "add_passkey": lambda case: browsing.add_passkey(case.alice, SoftKey()),
    "add_reason": lambda case: actions.add_reason(by=case.admin, title="No", text="Because."),
    "add_rule": lambda case: actions.add_rule(by=case.admin, pattern="lab.example.org"),
    "agree_to_policies": lambda case: actions.agree_to_policies(case.alice),
    "apply_again": _apply_again,
    "apply_rule": lambda case: (case.who_waits(), actions.apply_rule(case.rule(), by=case.admin)),
    "approve": lambda case: actions.approve(case.who_waits(), by=case.admin),
    "ask_for_more": lambda case: actions.ask_for_more(
        case.alice, limits={"machines": 99}, message="For a course."
    ),
    "by_rule": _by_rule,
    "cancel_change_of_email": lambda case: actions.cancel_change_of_email(case.alice),
    "cancel_reset": lambda case: actions.cancel_reset(*case.password_link()),
    "change_email": lambda case: actions.change_email(case.alice, "alice@example.net"),
    "change_group": lambda case: actions.change_group(case.group(), by=case.alice, name="lab"),
    "change_mail_text": lambda case: actions.change_mail_text(KIND, by=case.admin, words=WORDS),
    "change_password": lambda case: actions.change_password(
        case.alice, password=PASSWORD, new_password=NEW_PASSWORD
    ),
    "change_profile": lambda case: actions.change_profile(
        case.alice, actions.Profile(given_name="Ann", family_name="Other")
    ),
    "change_reason": lambda case: actions.change_reason(
        case.reason(), by=case.admin, title="Yes", text="Perhaps."
    ),
    "change_rule": lambda case: actions.change_rule(
        case.rule(), by=case.admin, pattern="other.example.org"
    ),
    "choose_defaults": lambda case: actions.choose_defaults(
        case.alice, actions.Defaults(date_style="de")
    ),
    "choose_instance_type": lambda case: actions.choose_instance_type(case.alice, name="m1.small"),
    "close": lambda case: (case.vm(), actions.close(case.alice, by=case.admin, reason="Left.")),
    "confirm_email": lambda case: actions.confirm_email(
        *case.address_link(UserFactory(applied=True))
    ),
    "confirm_new_email": lambda case: actions.confirm_new_email(*case.address_link(case.alice)),
    "connect_identity": lambda case: actions.connect_identity(case.alice, said()),
    "correct": lambda case: (user := UserFactory(applied=True)) and actions.correct(
        user, request_of(user)
    ),
    "create_administrator": _first_administrator,
    "create_group": lambda case: actions.create_group(owner=case.alice, name="lab people"),
    "create_token": lambda case: case.token(),
    "decline_invitation": lambda case: actions.decline_invitation(case.offer(), by=case.alice),
    "decline_wish": lambda case: actions.decline_wish(case.wish(), by=case.admin, reason="No."),
    "delete_group": lambda case: (group := case.group()) and actions.delete_group(
        group, by=case.alice, typed=group.name
    ),
    "deny_identity": lambda case: actions.deny_identity("lab", "no answer"),
    "disconnect_identity": lambda case: actions.disconnect_identity(case.alice, case.identity()),
    "end_session": lambda case: actions.end_session(case.alice, case.session()),
    "end_sessions": lambda case: (case.session(), actions.end_sessions(case.alice)),
    "enter_through": _closed_enters,
    "find_or_add_key": lambda case: actions.find_or_add_key(owner=case.alice, text=public_key()),
    "forget_mails": lambda case: actions.forget_mails(by=case.admin),
    "grant_wish": lambda case: actions.grant_wish(case.wish(), by=case.admin),
    "invite": lambda case: actions.invite(case.group(), by=case.alice, whom="new@example.org"),
    "leave_group": lambda case: (group := case.group()) and actions.leave_group(
        group, by=case.member(group)
    ),
    "make_administrator": lambda case: actions.make_administrator(case.alice, by=case.admin),
    "make_default_key": lambda case: (
        case.key(is_default=True), actions.make_default_key(case.key())
    ),
    "prove_by_passkey": lambda case: case.passkey_signs(alone=True),
    "prove_password": lambda case: actions.prove_password(case.alice, PASSWORD),
    "publish_policies": lambda case: actions.publish_policies(
        by=case.admin, text="Be kind.", changes="Shorter.", asks_again=True
    ),
    "reconsider": lambda case: actions.reconsider(UserFactory(rejected=True), by=case.admin),
    "reconsider_wish": _undo_wish,
    "register": lambda case: actions.register(application(public_key=public_key())),
    "register_through": lambda case: actions.register_through(
        said(email="carol@example.org", is_email_verified=True), application(password="")
    ),
    "reject": lambda case: actions.reject(case.who_waits(), by=case.admin, reason="Who?"),
    "remove_key": lambda case: actions.remove_key(case.key()),
    "remove_member": lambda case: (group := case.group()) and actions.remove_member(
        group, case.member(group), by=case.alice
    ),
    "remove_reason": lambda case: actions.remove_reason(case.reason(), by=case.admin),
    "remove_rule": lambda case: actions.remove_rule(case.rule(), by=case.admin),
    "remove_second_factor": lambda case: actions.remove_second_factor(
        case.with_app(), case.factors().get(type="totp")
    ),
    "rename_key": lambda case: actions.rename_key(case.key(), name="desk"),
    "rename_passkey": lambda case: actions.rename_passkey(
        case.alice, passkey_of(case.alice), name="desk"
    ),
    "renew_recovery_codes": lambda case: actions.renew_recovery_codes(case.with_app()),
    "request_reset": lambda case: actions.request_reset(login="alice", address="192.0.2.1"),
    "resend": lambda case: actions.resend(UserFactory(applied=True)),
    "reset_password": lambda case: actions.reset_password(
        *case.password_link(), new_password=NEW_PASSWORD
    ),
    "reset_second_factor": lambda case: actions.reset_second_factor(
        case.with_app(), by=case.admin
    ),
    "open_mail": _open_mail,
    "restore_mail_text": _restore_mail,
    "resume": lambda case: actions.resume(UserFactory(suspended=True), by=case.admin),
    "retry_mails": lambda case: actions.retry_mails(by=case.admin),
    "revoke_administrator": lambda case: actions.revoke_administrator(
        UserFactory(admin=True), by=case.admin
    ),
    "revoke_token": lambda case: actions.revoke_token(case.token()[0], by=case.alice),
    "revoke_tokens": lambda case: (case.token(), actions.revoke_tokens(case.alice, by=case.admin)),
    "send_trial": lambda case: actions.send_trial(KIND, by=case.admin, words=WORDS),
    "set_quota": lambda case: actions.set_quota(case.alice, by=case.admin, limits={"vcpus": 9}),
    "set_role": lambda case: (group := case.group()) and actions.set_role(
        group, case.member(group), role=Role.OWNER, by=case.alice
    ),
    "sign_in": lambda case: actions.sign_in(login="alice", password=PASSWORD, address="::1"),
    "stop_acting": lambda case: actions.stop_acting(case.alice, by=case.admin),
    "stop_change_of_email": lambda case: actions.stop_change_of_email(
        case.alice.uuid, case.secret(links.same_address_links.make_token(case.alice))
    ),
    "suspend": lambda case: actions.suspend(case.alice, by=case.admin, reason="Spam."),
    "switch_rule": lambda case: actions.switch_rule(
        case.rule(), by=case.admin, is_enabled=False
    ),
    "take_back": lambda case: actions.take_back(UserFactory(), by=case.admin),
    "use_code": lambda case: actions.use_code(case.with_app(), case.secret(browsing.code_of())),
    "use_passkey": lambda case: case.passkey_signs(alone=False),
    "use_token": lambda case: actions.use_token(case.token()[1], scope="read", address="::1"),
    "vouch": lambda case: actions.vouch(UserFactory(applied=True), by=case.admin),
    "withdraw": lambda case: actions.withdraw(UserFactory(confirmed=True)),
    "withdraw_invitation": lambda case: (group := case.group()) and actions.withdraw_invitation(
        actions.invite(group, by=case.alice, whom="new@example.org"), by=case.alice
    ),
    "withdraw_wish": lambda case: actions.withdraw_wish(case.wish(), by=case.alice),
}  # fmt: skip

MACHINES: Mapping[str, Example] = {
    "ask_many": lambda case: machines.ask_many([case.vm()], "kill", by=case.alice),
    "hand_over": lambda case: machines.hand_over([case.vm()], to=UserFactory(), by=case.admin),
    "kill": lambda case: machines.kill(case.vm(), by=case.alice),
    "launch": lambda case: machines.launch(owner=case.alice, order=order()),
    "reboot": lambda case: machines.reboot(case.vm(), by=case.alice),
    "save_type": lambda case: machines.save_type(
        InstanceType(name="m9.huge", vcpus=1, memory_mib=512), by=case.admin
    ),
    "shut_down": lambda case: machines.shut_down(case.vm(), by=case.alice),
    "start": lambda case: machines.start(case.vm(state=VmState.UNKNOWN), by=case.alice),
}

CATALOGUE: Mapping[str, Example] = {
    **catalogue_examples.CATALOGUE,
    "publish": lambda case: keep_key(case, None, site_address())
    and catalogue.publish(built(), tag="demo"),
    "site_key": lambda case: catalogue.site_key(),
}  # fmt: skip


def attached(case: Case) -> Any:
    """A disk in a machine, both Alice's."""
    return AttachmentFactory(volume__owner=case.alice, vm=case.vm())


def taken_away(case: Case) -> None:
    """Whose machine has ended, of whom the listing of the engine says nothing."""
    row = attached(case)
    disks.release(row.vm)


def settled(case: Case) -> None:
    VolumeFactory(owner=case.alice, state=VolumeState.IN_USE)  # nobody has it
    disks.settle_uses("local")


def share_of(case: Case) -> Any:
    return ShareFactory(volume=case.disk(), user=case.admin)


def offer_to(case: Case) -> Any:
    return OfferFactory(volume__owner=case.admin, to=case.alice)


DISKS: Mapping[str, Callable[[Case], Any]] = {
    "abandon": lambda case: disks.abandon(
        ArrivalFactory(volume__owner=case.alice).volume, by=case.alice
    ),
    "accept_offer": lambda case: disks.accept_offer(offer_to(case), by=case.alice),
    "ask_download": lambda case: disks.ask_download(case.disk(), by=case.alice, format="raw"),
    "ask_many": lambda case: disks.ask_many([case.disk()], "delete", by=case.alice),
    "attach": lambda case: disks.attach(
        case.disk(), case.vm(), by=case.alice, read_only=False, ready=lambda: None
    ),
    "begin_upload": lambda case: disks.begin_upload(
        owner=case.alice, parcel=disks.Parcel(length=512, file_name="data.img")
    ),
    "cancel": lambda case: disks.cancel(
        ArrivalFactory(volume__owner=case.alice).volume, by=case.alice
    ),
    "change": lambda case: disks.change(case.disk(), by=case.alice, tag="another"),
    "change_share": lambda case: disks.change_share(share_of(case), by=case.alice, access="write"),
    "copy": lambda case: disks.copy(case.disk(), by=case.alice, create_key=uuid4()),
    "create": lambda case: disks.create(owner=case.alice, size_gib=1, create_key=uuid4()),
    "decline_offer": lambda case: disks.decline_offer(offer_to(case), by=case.alice),
    "delete": lambda case: disks.delete(case.disk(), by=case.alice),
    "delete_snapshot": lambda case: disks.delete_snapshot(
        SnapshotFactory(volume=case.disk()), by=case.alice
    ),
    "detach": lambda case: disks.detach(attached(case), by=case.alice),
    "dismiss": lambda case: disks.dismiss(case.disk(failed=True), by=case.alice),
    "fetch": lambda case: disks.fetch(
        owner=case.alice, wanted=Wanted(url="https://example.org/data.iso")
    ),
    "give": lambda case: disks.give(case.disk(), to=case.admin, by=case.admin),
    "grow": lambda case: disks.grow(case.disk(), by=case.alice, size_gib=2),
    "offer": lambda case: disks.offer(case.disk(), by=case.alice, username="ops"),
    "plan": lambda case: disks.plan(case.disk(), case.vm(), by=case.alice, read_only=False),
    "purge": lambda case: disks.purge(case.disk(binned=True), by=case.alice),
    "recover": lambda case: disks.recover(case.disk(binned=True), by=case.alice),
    "release": taken_away,
    "remove_download": lambda case: disks.remove_download(
        ExportFactory(volume=case.disk()), by=case.alice
    ),
    "restore_snapshot": lambda case: disks.restore_snapshot(
        SnapshotFactory(volume=case.disk(), name="before"), by=case.alice, typed="before"
    ),
    "settle_uses": settled,
    "share": lambda case: disks.share(case.disk(), by=case.alice, access="read", username="ops"),
    "stop_sharing": lambda case: disks.stop_sharing(share_of(case), by=case.alice),
    "take_snapshot": lambda case: disks.take_snapshot(case.disk(), by=case.alice, name="before"),
    "withdraw_offer": lambda case: disks.withdraw_offer(
        OfferFactory(volume=case.disk(), to=case.admin), by=case.alice
    ),
}


#: These only tell: nothing changes, so there is nothing to write down.
READS = {
    "registration": {
        "find_invitation", "has_password", "has_second_factor", "holder_of_address",
        "person_of_link", "person_of_new_email", "person_to_confirm", "person_who_wants_another",
        "recovery_codes", "waiting_for", "ways_in",
        # A launch writes its own line, and the keys with it.
        "note_use_of_keys",
    },
    "volumes": {
        "bytes_with_snapshots", "disk_tag", "holder_name", "may_detach", "must_pass_gates",
        "obstacle", "standings", "too_many", "wrong_place",
    },
    "vms": {
        "candidates", "disk_use", "image_news", "machine_use", "over_quota", "quota_use",
        "too_large", "too_small", "too_volatile",
    },
    "marketplace": catalogue_examples.READS,
}  # fmt: skip
for _app, _names in made_examples.READS.items():
    READS[_app] |= _names

EXAMPLES: Mapping[str, Mapping[str, Example]] = {
    "registration": {**ACCOUNTS, **made_examples.ACCOUNTS},
    "vms": {**MACHINES, **made_examples.MACHINES},
    "marketplace": {**CATALOGUE, **made_examples.CATALOGUE},
    "volumes": {**DISKS, **made_examples.DISKS},
}
