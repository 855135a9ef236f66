"""What a person may change about themselves."""

from dataclasses import dataclass

from django.db import transaction

from core.models import record
from registration import emails, names
from registration.actions import rules
from registration.models import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    given_name: str
    family_name: str
    email: str
    x500_dn: str = ""


def change_profile(user: User, profile: Profile, *, password: str) -> None:
    """Change what is written about oneself; a new address is told to the old one too.

    Raises:
        Refused: ``too_many_attempts``, ``password_wrong``, ``email_invalid``, ``email_taken``,
            ``given_name_invalid``, ``family_name_invalid``, ``x500_dn_invalid``.
    """
    rules.must_know_password(user, password)
    wanted = {
        "given_name": names.given_name(profile.given_name),
        "family_name": names.family_name(profile.family_name),
        "email": names.email(profile.email),
        "x500_dn": names.x500_dn(profile.x500_dn),
    }
    was = {field: getattr(user, field) for field in wanted}
    changes = {field: value for field, value in wanted.items() if value != was[field]}
    if not changes:
        return
    with rules.alone(email=wanted["email"], besides=user):
        for field, value in changes.items():
            setattr(user, field, value)
        user.save(update_fields=list(changes))
        before = {field: was[field] for field in changes}
        record(user.KIND, user.uuid, "profile_changed", by=user, before=before, after=changes)
        if "email" in changes:
            emails.email_changed(user, was["email"])
        user.announce()


@transaction.atomic
def choose_instance_type(user: User, *, name: str) -> None:
    """Remember the type that the launch page offers first. Whoever calls knows the types."""
    user.default_instance_type = name
    user.save(update_fields=["default_instance_type"])
    record(user.KIND, user.uuid, "instance_type_chosen", by=user, name=name)
