"""A person's SSH keys: while there is one, exactly one of them is the default."""

from django.db import models, transaction

from core.errors import Refused
from core.models import record
from registration import keys, names
from registration.models import SshKey, User

MOST_KEYS = 20


@transaction.atomic
def add_key(*, owner: User, text: str, name: str = "", is_default: bool = False) -> SshKey:
    """Keep a pasted public key; the first one is the default.

    Raises:
        Refused: ``key_known``, ``too_many_keys``, and those of ``registration.keys.read``.
    """
    key = keys.read(text)
    others = _of(owner)
    if known := others.filter(fingerprint=key.fingerprint).first():
        raise Refused("key_known", f"You have this key already: {known.name}.", field="public_key")
    count = others.count()
    if count >= MOST_KEYS:
        raise Refused(
            "too_many_keys", f"You may keep {MOST_KEYS} keys. Remove one that you no longer use."
        )
    row = SshKey.objects.create(
        owner=owner,
        name=names.one_line(name)[: keys.LONGEST_NAME] or key.comment or f"Key {count + 1}",
        public_key=key.line,
        fingerprint=key.fingerprint,
        is_default=not count,
    )
    _note("key_added", row)
    if is_default:
        make_default_key(row)
    return row


@transaction.atomic
def find_or_add_key(*, owner: User, text: str) -> SshKey:
    """The key that was pasted, kept from now on if it was not known.

    Raises:
        Refused: as ``add_key``, but not ``key_known``.
    """
    known = _of(owner).filter(fingerprint=keys.read(text).fingerprint).first()
    return known or add_key(owner=owner, text=text)


@transaction.atomic
def make_default_key(key: SshKey) -> None:
    """Have new machines let this key in unless another is chosen."""
    _of(key.owner).filter(is_default=True).exclude(pk=key.pk).update(is_default=False)
    if SshKey.objects.filter(pk=key.pk).update(is_default=True) and not key.is_default:
        key.is_default = True
        _note("key_made_default", key)


@transaction.atomic
def remove_key(key: SshKey) -> None:
    """Forget a key; machines that run keep it. Another one becomes the default if need be."""
    others = _of(key.owner).exclude(pk=key.pk)
    _note("key_removed", key)
    key.delete()
    if (first := others.first()) and not others.filter(is_default=True).exists():
        make_default_key(first)


def _of(owner: User) -> models.QuerySet[SshKey]:
    """The owner's keys, with the owner locked: two tabs, one default."""
    User.objects.select_for_update().get(pk=owner.pk)
    return SshKey.objects.filter(owner=owner)


def _note(verb: str, key: SshKey) -> None:
    owner = key.owner
    record(owner.KIND, owner.uuid, verb, by=owner, name=key.name, fingerprint=key.fingerprint)
