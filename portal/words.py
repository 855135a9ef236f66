"""What the audit's codes are in words: kinds of things, verbs, doors, and the fields of a change.

The one place for them; ``tests/laws/test_audit.py`` fails on a kind or a verb without words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from marketplace.states import (
    ArrivalState,
    DraftState,
    ImageState,
    InspectionState,
    PendingState,
    PublicationState,
    SourceState,
)
from registration.states import AccountState, DeliveryState, WishState
from vms.states import (
    BuildState,
    ClusterState,
    NetworkState,
    NicState,
    ReadinessState,
    SavingState,
    VmState,
)
from volumes.states import (
    AttachmentState,
    ExportState,
    OfferState,
    SnapshotState,
    VolumeState,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """``page`` is the URL name of a thing's page, ``is_theirs`` whether its owner may open it."""

    noun: str
    page: str = ""
    is_theirs: bool = True
    states: Mapping[str, str] = field(default_factory=dict)
    listed: str = ""  # the noun by itself, if it is another one than in a sentence


@dataclass(frozen=True, slots=True)
class Verb:
    """``{}`` is the thing. ``past``: what was done; ``to``: what was tried, or refused."""

    past: str
    to: str


KINDS: Mapping[str, Kind] = {
    "account": Kind("account", "vms:person", is_theirs=False, states=dict(AccountState.choices)),
    "api_token": Kind("API token"),
    "approval_rule": Kind("approval rule", "registration:rule", is_theirs=False),
    "authenticator": Kind("passkey"),
    "attachment": Kind("attachment of disk", states=dict(AttachmentState.choices)),
    "backup": Kind("backup", "vms:backup_detail"),
    "batch": Kind("batch", "vms:batch"),
    "delivery": Kind("delivery", states=dict(DeliveryState.choices)),
    "build": Kind("building of image", "vms:build", states=dict(BuildState.choices)),
    "draft": Kind("draft of metadata", "marketplace:draft", states=dict(DraftState.choices)),
    "disk_offer": Kind("offer of disk", states=dict(OfferState.choices)),
    "document": Kind("fetch of metadata", "marketplace:arrival", states=dict(ArrivalState.choices)),
    "entry": Kind("Marketplace entry"),
    "export": Kind("download of disk", states=dict(ExportState.choices)),
    "group": Kind("group", "registration:group"),
    "image": Kind("copy of image", states=dict(ImageState.choices)),
    "inspection": Kind(
        "look into disk", "marketplace:inspection", states=dict(InspectionState.choices)
    ),
    "instance_type": Kind("size"),
    "invitation": Kind("invitation"),
    "mail": Kind("mail"),
    "mail_text": Kind("text of a mail"),
    "page": Kind("page"),
    "pending": Kind("metadata for", listed="metadata", states=dict(PendingState.choices)),
    "network": Kind("private network", "vms:network", states=dict(NetworkState.choices)),
    "nic": Kind("card of", states=dict(NicState.choices), listed="card on a private network"),
    "cluster": Kind("cluster", "vms:cluster", states=dict(ClusterState.choices)),
    "policy": Kind("policies,", listed="policies"),
    "policy_line": Kind("the line", listed="line of a list of images"),
    "publication": Kind("publication of", states=dict(PublicationState.choices)),
    "quota_wish": Kind("wish for", listed="wish", states=dict(WishState.choices)),
    "readiness": Kind("readiness of machine", states=dict(ReadinessState.choices)),
    "reason_template": Kind("reason"),
    "signing_key": Kind("signing key"),
    "social_account": Kind("connected identity"),
    "recipe": Kind("recipe", "vms:recipe"),
    "snapshot": Kind("snapshot", states=dict(SnapshotState.choices)),
    "ssh_key": Kind("SSH key"),
    "source": Kind(
        "source of images", "marketplace:source", is_theirs=False, states=dict(SourceState.choices)
    ),
    "trusted_certificate": Kind("trusted certificate", "marketplace:certificate", is_theirs=False),
    "user_session": Kind("session"),
    "webhook": Kind("webhook", "registration:webhook"),
    "saving": Kind("new image", states=dict(SavingState.choices)),
    "vm": Kind("machine", "vms:detail", states=dict(VmState.choices)),
    "volume": Kind("disk", "volumes:detail", states=dict(VolumeState.choices)),
}

#: The verbs by what they are about: the heading, and what ``{}`` stands for in a list of verbs.
GROUPS: Mapping[tuple[str, str], Mapping[str, Verb]] = {
    ("Anything", "something"): {
        "added": Verb("added {}", "add {}"),
        "asked": Verb("asked for {}", "ask for {}"),
        "changed": Verb("changed {}", "change {}"),
        "moved": Verb("moved {}", "move {}"),
        "opened": Verb("opened {}", "open {}"),
        "removed": Verb("removed {}", "remove {}"),
    },
    ("Machines", "a machine"): {
        "back_up": Verb("backed up {}", "back up {}"),
        "console": Verb("opened a console of {}", "open a console of {}"),
        "extend": Verb("extended the lease of {}", "extend the lease of {}"),
        "lease_set": Verb("set the end of {}", "set the end of {}"),
        "handed_over": Verb("handed over {}", "hand over {}"),
        "kill": Verb("killed {}", "kill {}"),
        "attach_nic": Verb("put {} on a private network", "put {} on a private network"),
        "delete_network": Verb("deleted {}", "delete {}"),
        "detach_nic": Verb("took {} off a private network", "take {} off a private network"),
        "kill_cluster": Verb("killed {} with all of its machines", "kill {}"),
        "drop_saving": Verb("called off {}", "call off {}"),
        "plan_saving": Verb("planned {}", "plan {}"),
        "power_off": Verb("switched off and saved {}", "switch off and save {}"),
        "cancel_build": Verb("called off {}", "call off {}"),
        "end_build": Verb("ended the machine of {}", "end the machine of {}"),
        "save_build": Verb("saved {} as it was", "save {} as it is"),
        "reboot": Verb("rebooted {}", "reboot {}"),
        "save": Verb("shut down and saved {}", "shut down and save {}"),
        "shut_down": Verb("shut down {}", "shut down {}"),
        "start": Verb("started {}", "start {}"),
        "taken_over": Verb("gave {} to its new owner", "give {} to its new owner"),
    },
    ("Recipes", "a recipe"): {
        "recipe_changed": Verb("changed {}", "change {}"),
        "recipe_deleted": Verb("deleted {}", "delete {}"),
        "recipe_saved": Verb("saved {}", "save {}"),
    },
    ("Disks", "a disk"): {
        "cancel": Verb("cancelled {}", "cancel {}"),
        "create": Verb("made {}", "make {}"),
        "delete": Verb("put {} into the bin", "delete {}"),
        "dismiss": Verb("dismissed {}", "dismiss {}"),
        "download": Verb("had {} made ready to download", "have {} made ready to download"),
        "download_over": Verb("removed the file of {}", "remove the file of {}"),
        "download_remove": Verb("removed the download of {}", "remove the download of {}"),
        "fetch": Verb("had {} fetched", "have {} fetched"),
        "purge": Verb("deleted {} for good", "delete {} for good"),
        "recover": Verb("took {} out of the bin", "take {} out of the bin"),
        "upload": Verb("began to upload {}", "upload {}"),
        "attach": Verb("attached {}", "attach {}"),
        "detach": Verb("detached {}", "detach {}"),
        "launch": Verb("launched a machine from {}", "launch a machine from {}"),
        "inspected": Verb("had {} looked into", "look into {}"),
        "clean": Verb("made a cleaned copy of {}", "make a cleaned copy of {}"),
        "copy": Verb("copied {}", "copy {}"),
        "grow": Verb("made {} larger", "make {} larger"),
        "offer": Verb("offered {}", "offer {}"),
        "offer_accepted": Verb("accepted {}", "accept {}"),
        "offer_declined": Verb("declined {}", "decline {}"),
        "offer_withdrawn": Verb("withdrew {}", "withdraw {}"),
        "restore_snapshot": Verb("took {} back to a snapshot", "take {} back to a snapshot"),
        "share": Verb("shared {}", "share {}"),
        "share_changed": Verb("changed a share of {}", "change a share of {}"),
        "share_stopped": Verb("stopped sharing {}", "stop sharing {}"),
        "snapshot": Verb("took a snapshot of {}", "take a snapshot of {}"),
        "snapshot_deleted": Verb("deleted {}", "delete {}"),
    },
    ("Marketplace", "a copy of an image"): {
        "stopped": Verb("stopped the fetching of {}", "stop the fetching of {}"),
    },
    ("Marketplace", "an entry"): {
        "built": Verb("built {}", "build {}"),
        "deprecated": Verb("withdrew {}", "withdraw {}"),
        "dropped": Verb("threw away {}", "throw away {}"),
        "endorsed": Verb("endorsed {}", "endorse {}"),
        "measure_again": Verb("had {} measured again", "have {} measured again"),
        "published": Verb("published {}", "publish {}"),
        "expired": Verb("let {} expire", "let {} expire"),
        "imported": Verb("imported {}", "import {}"),
        "source_off": Verb("switched off {}", "switch off {}"),
        "source_on": Verb("switched on {}", "switch on {}"),
        "extended": Verb("endorsed {} for longer", "endorse {} for longer"),
        "approve": Verb("approved {}", "approve {}"),
        "reject": Verb("rejected {}", "reject {}"),
        "reconsider": Verb("put {} back in the queue", "put {} back in the queue"),
        "withdrawn": Verb("took back {}", "take back {}"),
        "readers_changed": Verb("changed who may read {}", "change who may read {}"),
        "refused_by_endorser": Verb("refused {}", "refuse {}"),
        "reported": Verb("reported {} as abuse", "report {} as abuse"),
        "sent": Verb("sent {} to be confirmed", "send {} to be confirmed"),
        "confirmed_by_endorser": Verb("confirmed {}", "confirm {}"),
        "signing_key_ended": Verb("ended {}", "end {}"),
        "signing_key_made": Verb("had {} made", "have {} made"),
    },
    ("Coming in", "an account"): {
        "looked": Verb("looked where the request of {} stands", "look where {} stands"),
        "password_given": Verb(
            "gave the right password of {}, before the second step", "sign in as {}"
        ),
        "password_proved": Verb("gave the password of {}", "give the password of {}"),
        "proved_again": Verb("proved again to be {}", "prove again to be {}"),
        "second_factor_used": Verb("used a second factor of {}", "use a second factor of {}"),
        "session_ended": Verb("ended a session of {}", "end a session of {}"),
        "sessions_ended": Verb("ended sessions of {}", "end sessions of {}"),
        "signed_in": Verb("signed in as {}", "sign in as {}"),
        "token_used": Verb("used {}", "use {}"),
    },
    ("Accounts", "an account"): {
        "acting_started": Verb("began to act as {}", "act as {}"),
        "acting_stopped": Verb("stopped acting as {}", "stop acting as {}"),
        "directory_known": Verb("knows {} by the directory's own id", "know {} by an id"),
        "address_kept": Verb("kept the address of {} by a mail's link", "change the address of {}"),
        "administered": Verb(
            "acted as an administrator with {}", "act as an administrator with {}"
        ),
        "administrator_made": Verb("made {} an administrator's", "make {} an administrator's"),
        "administrator_revoked": Verb(
            "made {} an administrator's no more", "make {} an administrator's no more"
        ),
        "created": Verb("made {}", "make {}"),
        "link_sent_again": Verb("sent the link to {} again", "send the link to {} again"),
        "policies_agreed": Verb("agreed to the policies as {}", "agree to the policies as {}"),
        "quota_set": Verb("set the quota of {}", "set the quota of {}"),
        "registered": Verb("asked for {}", "ask for {}"),
        "request_corrected": Verb("corrected the request for {}", "correct the request for {}"),
        "took_over": Verb(
            "gave {} what another account held", "give {} what another account holds"
        ),
    },
    ("A person's own things", "an account"): {
        "defaults_chosen": Verb("chose the defaults of {}", "choose the defaults of {}"),
        "email_change_asked": Verb("asked for another address of {}", "change the address of {}"),
        "email_change_cancelled": Verb("kept the address of {}", "keep the address of {}"),
        "email_changed": Verb("changed the address of {}", "change the address of {}"),
        "identity_connected": Verb("connected an identity to {}", "connect an identity to {}"),
        "identity_disconnected": Verb(
            "disconnected an identity from {}", "disconnect an identity from {}"
        ),
        "instance_type_chosen": Verb("chose a size for {}", "choose a size for {}"),
        "key_added": Verb("added {}", "add {}"),
        "key_made_default": Verb("made {} the default", "make {} the default"),
        "key_removed": Verb("removed {}", "remove {}"),
        "key_renamed": Verb("renamed {}", "rename {}"),
        "notices_chosen": Verb("chose the mails of {}", "choose the mails of {}"),
        "password_changed": Verb("changed the password of {}", "change the password of {}"),
        "password_reset": Verb("set a new password of {} by a link", "set a new password of {}"),
        "profile_changed": Verb("changed the profile of {}", "change the profile of {}"),
        "recovery_codes_renewed": Verb("renewed the recovery codes of {}", "renew the codes of {}"),
        "reset_asked": Verb("asked for a new password of {}", "ask for a new password of {}"),
        "reset_cancelled": Verb("cancelled a link to a new password of {}", "cancel a link of {}"),
        "second_factor_added": Verb("added a second factor to {}", "add a second factor to {}"),
        "second_factor_removed": Verb(
            "removed a second factor of {}", "remove a second factor of {}"
        ),
        "second_factor_renamed": Verb("renamed a passkey of {}", "rename a passkey of {}"),
        "second_factor_reset": Verb(
            "took away the second factors of {}", "take away the second factors of {}"
        ),
        "token_created": Verb("made {}", "make {}"),
        "token_revoked": Verb("revoked {}", "revoke {}"),
        "tokens_revoked": Verb("revoked the API tokens of {}", "revoke the API tokens of {}"),
        "delivery_sent_again": Verb("sent {} again", "send {} again"),
        "webhook_added": Verb("added {}", "add {}"),
        "webhook_changed": Verb("changed {}", "change {}"),
        "webhook_off": Verb("switched off {}", "switch off {}"),
        "webhook_removed": Verb("removed {}", "remove {}"),
        "webhook_secret_renewed": Verb("gave {} a new secret", "give {} a new secret"),
        "webhook_tested": Verb("sent a test to {}", "send a test to {}"),
        "wish_withdrawn": Verb("tried to withdraw {}", "withdraw {}"),
    },
    ("Groups", "a group"): {
        "group_changed": Verb("changed {}", "change {}"),
        "group_created": Verb("made {}", "make {}"),
        "group_declined": Verb("declined to join {}", "decline to join {}"),
        "group_deleted": Verb("deleted {}", "delete {}"),
        "group_invitation_withdrawn": Verb(
            "withdrew an invitation to {}", "withdraw an invitation to {}"
        ),
        "group_invited": Verb("invited somebody to {}", "invite somebody to {}"),
        "group_joined": Verb("joined {}", "join {}"),
        "group_left": Verb("left {}", "leave {}"),
        "group_member_removed": Verb("removed somebody from {}", "remove somebody from {}"),
        "group_role_changed": Verb("changed a role in {}", "change a role in {}"),
        "invitation_accept": Verb("accepted {}", "accept {}"),
        "invitation_decline": Verb("declined {}", "decline {}"),
    },
    ("The site", "the site"): {
        "mail_opened": Verb("opened {}", "open {}"),
        "mail_text_changed": Verb("changed {}", "change {}"),
        "mail_text_restored": Verb("restored {}", "restore {}"),
        "mail_tried": Verb("sent themselves {} to try it", "try {}"),
        "mails_forgotten": Verb("gave up {} that could not be sent", "give up {}"),
        "mails_retried": Verb("sent {} again", "send {} again"),
        "policies_published": Verb("published {}", "publish {}"),
        "policy_line_added": Verb("added {} to a list of images", "add {} to a list of images"),
        "policy_line_removed": Verb(
            "removed {} from a list of images", "remove {} from a list of images"
        ),
        "reason_added": Verb("added {} for rejections", "add {} for rejections"),
        "reason_changed": Verb("changed {} for rejections", "change {} for rejections"),
        "reason_removed": Verb("removed {} for rejections", "remove {} for rejections"),
        "rule_added": Verb("added {}", "add {}"),
        "rule_changed": Verb("changed {}", "change {}"),
        "rule_removed": Verb("removed {}", "remove {}"),
        "rule_switched_off": Verb("switched off {}", "switch off {}"),
        "rule_switched_on": Verb("switched on {}", "switch on {}"),
    },
}

VERBS: Mapping[str, Verb] = {
    code: verb for verbs in GROUPS.values() for code, verb in verbs.items()
}

#: Headings of what only administrators do.
ADMINISTRATION = frozenset({"The site"})

#: What ``{}`` stands for in a list of verbs, by how the verb begins, where it is not its group's.
THINGS = {
    "cancel_build": "an image in the making", "end_build": "an image in the making",
    "save_build": "the machine of a build",
    "invitation_": "an invitation", "key_": "an SSH key", "mail_opened": "a mail",
    "mail_text_": "the text of a mail", "mail_tried": "a mail", "mails_": "a mail",
    "policies_published": "new policies", "policy_line_": "a line",
    "reason_": "a reason", "rule_": "an approval rule",
    "handed_over": "a machine or a disk", "offer_": "an offer of a disk",
    "second_factor_renamed": "an account", "snapshot_": "a snapshot", "token_": "an API token",
    "delivery_": "a delivery", "webhook_": "a webhook",
    "wish_": "a wish for quota", "taken_over": "a machine or a disk", "mail": "a mail",
}  # fmt: skip


#: What a person did who moved a thing to a state, where there is a word for it.
MOVES: Mapping[tuple[str, str], str] = {
    ("account", "active"): "let in {}",
    ("account", "closed"): "closed {}",
    ("account", "confirmed"): "confirmed the address of {}",
    ("account", "rejected"): "rejected the request for {}",
    ("account", "suspended"): "suspended {}",
    ("account", "withdrawn"): "withdrew the request for {}",
    ("publication", "approved"): "approved the {}",
    ("publication", "rejected"): "rejected the {}",
    ("publication", "withdrawn"): "took back the wish for the {}",
    ("quota_wish", "declined"): "declined {}",
    ("quota_wish", "granted"): "granted {}",
    ("quota_wish", "withdrawn"): "withdrew {}",
}

#: The same where it matters where the thing came from: these go before ``MOVES``.
MOVES_FROM: Mapping[tuple[str, str, str], str] = {
    ("account", "active", "confirmed"): "took back the approval of {}",
    ("account", "confirmed", "applied"): "gave another address in the request for {}",
    ("account", "rejected", "applied"): "put the request for {} back in the queue",
    ("account", "rejected", "confirmed"): "put the request for {} back in the queue",
    ("account", "suspended", "active"): "ended the suspension of {}",
    ("account", "withdrawn", "applied"): "put the request for {} back in the queue",
    ("account", "withdrawn", "confirmed"): "put the request for {} back in the queue",
    ("publication", "rejected", "asked"): "put the {} back in the queue",
    ("quota_wish", "declined", "waiting"): "put {} back in the queue",
}

OUTCOMES = {"done": "Done", "denied": "Refused", "failed": "Failed"}
DOORS = {
    "page": "a page", "api": "the API", "console": "a console", "live": "the stream",
    "command": "a command on the server", "task": "the portal's own work",
}  # fmt: skip

#: Names of fields that do not say it themselves.
FIELDS = {
    "disk_bytes": "disk", "email": "e-mail address", "is_default": "default",
    "is_offered": "offered", "is_staff": "administrator", "memory_mib": "memory (MiB)",
    "swap_mib": "swap (MiB)", "vcpus": "vCPUs", "x500_dn": "X.500 name",
}  # fmt: skip


def kind_of(kind: str) -> Kind:
    return KINDS.get(kind) or Kind(kind.replace("_", " "))


def verb_of(verb: str) -> Verb:
    """Without words of its own, a verb reads as its code does."""
    plain = f"{verb.replace('_', ' ')}: {{}}"
    return VERBS.get(verb) or Verb(plain, plain)


def choices(*, is_administrator: bool) -> list[tuple[str, list[tuple[str, str]]]]:
    """The verbs to choose from, by heading; each says by itself what was done."""
    groups = [
        (heading, [(code, _listed(code, verb, thing)) for code, verb in verbs.items()])
        for (heading, thing), verbs in GROUPS.items()
        if is_administrator or heading not in ADMINISTRATION
    ]
    moves = [
        (f"moved:{kind}:{state}", past.format(_A[kind])) for (kind, state), past in MOVES.items()
    ]
    decided = ("Decisions", moves)
    return [
        (heading, sorted(codes, key=lambda pair: pair[1])) for heading, codes in (decided, *groups)
    ]


_A = {
    "account": "an account",
    "publication": "publication of an entry",
    "quota_wish": "a wish for quota",
}


def _listed(code: str, verb: Verb, thing: str) -> str:
    for beginning, other in THINGS.items():
        if code.startswith(beginning):
            return verb.past.format(other)
    return verb.past.format(thing)


def move_of(kind: str, was: str, now: str) -> str | None:
    return MOVES_FROM.get((kind, was, now)) or MOVES.get((kind, now))


def field_of(name: str) -> str:
    return FIELDS.get(name) or name.replace("_", " ")
