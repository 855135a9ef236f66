"""A person's SSH keys: while there is one, exactly one of them is the default."""

from collections.abc import Iterable
from typing import Any

from django.db import models, transaction
from django.utils import timezone

from core.caller import caller
from core.errors import Refused
from core.models import record
from registration import keys, names
from registration.actions import rules
from registration.models import SshKey, User

MOST_KEYS = 20


def add_key(*, owner: User, text: str, name: str = "", is_default: bool = False) -> SshKey:
    """Keep a pasted public key; the first one is the default.

    Raises:
        Refused: ``acting``, ``key_known``, ``too_many_keys``, ``key_name_invalid``, and those of
            ``registration.keys.read``.
    """
    _must_be_theirs(owner)
    return _add(owner, text, name, is_default)


def _must_be_theirs(owner: User) -> None:
    """Raises: Refused: ``acting``."""
    sentence = "Only the person may add a key: whoever holds it enters their machines."
    refused = Refused("acting", sentence, field="public_key")
    rules.must_be_the_person(owner, SshKey.KIND, "key_added", refused)


@transaction.atomic
def _add(owner: User, text: str, name: str = "", is_default: bool = False) -> SshKey:
    """Raises: Refused: as ``add_key``, but not ``acting``."""
    key = keys.read(text)
    others = _of(owner)
    if known := others.filter(fingerprint=key.fingerprint).first():
        raise Refused("key_known", f"You have this key already: {known.name}.", field="public_key")
    count = others.count()
    if count >= MOST_KEYS:
        raise Refused(
            "too_many_keys",
            f"You have {count} keys, and may keep {MOST_KEYS}. Remove one that you no longer use.",
        )
    row = SshKey.objects.create(
        owner=owner,
        name=_name(name) or key.comment or f"Key {count + 1}",
        public_key=key.line,
        fingerprint=key.fingerprint,
        is_default=not count,
        added_from=caller.get().address,
    )
    _note("key_added", row, after={"name": row.name})
    if is_default:
        make_default_key(row)
    return row


def find_or_add_key(*, owner: User, text: str) -> SshKey:
    """The key that was pasted, kept from now on if it was not known.

    Raises:
        Refused: as ``add_key``, but not ``key_known``.
    """
    fingerprint = keys.read(text).fingerprint
    if not owner.ssh_keys.filter(fingerprint=fingerprint).exists():
        _must_be_theirs(owner)
    with transaction.atomic():
        known = _of(owner).filter(fingerprint=fingerprint).first()
        return known or _add(owner, text)


@transaction.atomic
def rename_key(key: SshKey, *, name: str) -> None:
    """Call a key something else; the line that machines get stays as it is.

    Raises:
        Refused: ``key_name_missing``, ``key_name_invalid``.
    """
    name = _name(name)
    if not names.has_letter_or_digit(name):
        sentence = f"Write a name of 1 to {keys.LONGEST_NAME} characters."
        raise Refused("key_name_missing", sentence, field="name")
    was = key.name
    if name == was:
        return
    SshKey.objects.filter(pk=key.pk).update(name=name)
    key.name = name
    _note("key_renamed", key, before={"name": was}, after={"name": name})


def _name(text: str) -> str:
    """Raises: Refused: ``key_name_invalid``."""
    return names.line(text, "key_name_invalid", field="name")[: keys.LONGEST_NAME].strip()


@transaction.atomic
def make_default_key(key: SshKey) -> None:
    """Have new machines let this key in unless another is chosen."""
    others = _of(key.owner).filter(is_default=True).exclude(pk=key.pk)
    was = [other.name for other in others]
    others.update(is_default=False)
    if SshKey.objects.filter(pk=key.pk).update(is_default=True) and not key.is_default:
        key.is_default = True
        _note("key_made_default", key, before={"default": was}, after={"default": [key.name]})


@transaction.atomic
def remove_key(key: SshKey) -> None:
    """Forget a key; machines that run keep it. Another one becomes the default if need be."""
    others = _of(key.owner).exclude(pk=key.pk)
    if not SshKey.objects.filter(pk=key.pk).exists():  # another tab was faster
        return
    _note("key_removed", key, before={"name": key.name})
    key.delete()
    if (first := others.first()) and not others.filter(is_default=True).exists():
        make_default_key(first)


def note_use_of_keys(*, owner: User, lines: Iterable[str], machine: str) -> None:
    """Write down that ``machine``, a name, lets these keys (lines of OpenSSH) in from now on."""
    used = SshKey.objects.filter(owner=owner, public_key__in=list(lines))
    used.update(last_used_at=timezone.now(), last_used_on=machine[:80])


def _of(owner: User) -> models.QuerySet[SshKey]:
    """The owner's keys, with the owner locked: two tabs, one default."""
    User.objects.select_for_update(no_key=True).get(pk=owner.pk)
    return SshKey.objects.filter(owner=owner)


def _note(verb: str, key: SshKey, **detail: Any) -> None:
    owner = key.owner
    record(
        SshKey.KIND,
        key.uuid,
        verb,
        by=owner,
        owner=owner.pk,
        label=key.name,
        fingerprint=key.fingerprint,
        **detail,
    )
