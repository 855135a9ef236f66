"""What a person may change about themselves, besides what proves who they are."""

from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from core import dates
from core.errors import Refused
from registration import names
from registration.actions.keys import make_default_key
from registration.models import SshKey, User

#: How a new machine can be told about its keys and user data.
CONTEXT_METHODS = {"cloud-init": "cloud-init", "opennebula": "OpenNebula"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    given_name: str
    family_name: str
    x500_dn: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What pages show and offer first. Blank: as the site has it; no key: as it is."""

    date_style: str = ""
    context_method: str = ""
    key: UUID | None = None


def change_profile(user: User, profile: Profile) -> None:
    """Change what is written about oneself.

    Raises:
        Refused: ``given_name_invalid``, ``family_name_invalid``, ``x500_dn_invalid``.
    """
    wanted = {field: getattr(names, field)(text) for field, text in asdict(profile).items()}
    _keep(user, "profile_changed", wanted)


@transaction.atomic
def choose_defaults(user: User, defaults: Defaults) -> None:
    """Choose what pages show and offer first.

    Raises:
        Refused: ``date_style_unknown``, ``context_method_unknown``, ``key_unknown``.
    """
    if defaults.date_style and defaults.date_style not in dates.STYLES:
        raise Refused("date_style_unknown", "Choose a style of the list.", field="date_style")
    if defaults.context_method and defaults.context_method not in CONTEXT_METHODS:
        sentence = "Choose a method of the list."
        raise Refused("context_method_unknown", sentence, field="context_method")
    wanted = {
        "date_style": defaults.date_style,
        "default_context_method": defaults.context_method,
    }
    _keep(user, "defaults_chosen", wanted)
    if defaults.key:
        _offer_first(user, defaults.key)


def _offer_first(user: User, uuid: UUID) -> None:
    key = SshKey.objects.filter(owner=user, uuid=uuid).first()
    if key is None:
        raise Refused("key_unknown", "This key is not here any more.", field="key")
    make_default_key(key)


def choose_instance_type(user: User, *, name: str) -> None:
    """Remember the type that the launch page offers first. Whoever calls knows the types."""
    _keep(user, "instance_type_chosen", {"default_instance_type": name})


@transaction.atomic
def _keep(user: User, verb: str, wanted: dict[str, Any]) -> None:
    before = {field: getattr(user, field) for field in wanted}
    changes = {field: value for field, value in wanted.items() if value != before[field]}
    if not changes:
        return
    for field, value in changes.items():
        setattr(user, field, value)
    user.save(update_fields=list(changes))
    was = {field: before[field] for field in changes}
    user.record_event(verb, by=user, before=was, after=changes)
    user.announce()
