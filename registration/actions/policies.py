"""Agreeing to the policies, and publishing new ones."""

from uuid import NAMESPACE_OID, uuid5

from django.db import IntegrityError, transaction
from django.utils import timezone

from core.errors import Refused
from core.models import record
from registration import names, policies
from registration.actions import rules
from registration.models import Policy, User

LONGEST_POLICIES = 100_000
LONGEST_CHANGES = 300


def agree_to_policies(user: User, *, version: int | None = None) -> None:
    """Note that ``user`` has read the policies as they are now, and agrees.

    ``version`` is the one that was shown.

    Raises: Refused: ``policies_changed``, others were published while they were read.
    """
    current = policies.current().version
    if version is not None and version != current:
        sentence = f"Version {current} was published while you read. Read it, please, and agree."
        raise Refused("policies_changed", sentence)
    _agree(user, current)


@transaction.atomic
def _agree(user: User, version: int) -> None:
    was = user.policy_version
    user.policy_version = version
    user.policy_agreed_at = timezone.now()
    user.save(update_fields=["policy_version", "policy_agreed_at"])
    user.record_event("policies_agreed", by=user, before=was, after=version)


def publish_policies(
    *, by: User, text: str, changes: str, asks_again: bool, made_from: int | None = None
) -> Policy:
    """Publish a new version. Who publishes it has agreed to it.

    ``changes`` says in a sentence what is new; ``asks_again``: everybody has to agree anew
    before they go on; ``made_from`` is the version that was edited, if that matters.

    Raises:
        Refused: ``not_administrator``, ``text_missing``, ``text_too_long``, ``text_same``,
            ``changes_missing``, ``changes_too_long``, ``policies_changed``.
    """
    rules.must_be_administrator(by)
    text, changes = _as_kept(text), names.one_line(changes)
    before = policies.current()
    if made_from is not None and made_from != before.version:
        raise _changed(before)
    must_be_policies(text, changes, before)
    policy = Policy(
        version=before.version + 1,
        text=text,
        changes=changes,
        asks_again=asks_again,
        published_by=by,
    )
    try:
        with transaction.atomic():
            if before.pk is None:
                before.save()  # what people have agreed to so far
            policy.save()
            _record(policy, by, before)
            _agree(by, policy.version)
    except IntegrityError:  # somebody was faster by a moment
        raise _changed(policies.current()) from None
    return policy


def must_be_policies(text: str, changes: str, before: Policy) -> None:
    """Whether these may be published after ``before``.

    Raises:
        Refused: ``text_missing``, ``text_too_long``, ``text_same``, ``changes_missing``,
            ``changes_too_long``.
    """
    if not text:
        raise Refused("text_missing", "Write the policies.", field="text")
    if len(text) > LONGEST_POLICIES:
        sentence = f"They have at most {LONGEST_POLICIES:,} characters; these have {len(text):,}."
        raise Refused("text_too_long", sentence, field="text")
    if text == _as_kept(before.text):
        sentence = f"This is version {before.version}, word for word. Change something first."
        raise Refused("text_same", sentence, field="text")
    if not changes:
        sentence = "Say in a sentence what is new: everybody reads it before they agree."
        raise Refused("changes_missing", sentence, field="changes")
    if len(changes) > LONGEST_CHANGES:
        sentence = f"Use at most {LONGEST_CHANGES} characters; these are {len(changes)}."
        raise Refused("changes_too_long", sentence, field="changes")


def _as_kept(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def _changed(now: Policy) -> Refused:
    return Refused(
        "policies_changed",
        f"Version {now.version} was published meanwhile. What you wrote is below and not "
        "published; compare it with the new version, and publish again.",
    )


def _record(policy: Policy, by: User, before: Policy) -> None:
    """The texts are rows that nobody changes; the line names them."""
    record(
        "policy",
        uuid5(NAMESPACE_OID, f"registration.policy-{policy.version}"),
        "policies_published",
        by=by,
        label=str(policy),
        before={"version": before.version},
        after={
            "version": policy.version,
            "changes": policy.changes,
            "asks_again": policy.asks_again,
        },
    )
