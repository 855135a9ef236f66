"""Signing in with the password of the site's directory (LDAP)."""

from collections.abc import Callable

from django.utils import timezone

from core.errors import Refused
from core.models import Event
from registration import emails, names
from registration.actions import addresses, rules
from registration.identities import directory, sources
from registration.identities.directory import SOURCE, Entry
from registration.models import User, same
from registration.states import ADDRESSLESS, AccountState

#: What the directory says of somebody, by our names for it.
FIELDS: dict[str, Callable[[str], str]] = {
    "username": names.username,
    "email": names.email,
    "given_name": names.given_name,
    "family_name": names.family_name,
}


def enter(login: str, password: str, *, id: str = "") -> User | None:
    """The person whose name and password in the directory these are; None: nobody's.

    ``id`` stands for the name of who is known already.

    Who comes for the first time gets an account: a request that an administrator, or a rule,
    still has to approve. Later the account follows the directory's names and address; it is
    found by the directory's own id, whatever either side calls the person.

    Raises:
        Refused: ``directory_unreachable``; and with the right password
            ``directory_incomplete``, ``directory_name_taken``, ``directory_email_taken``.
    """
    entry = rules.in_directory(login, password, id=id)
    if entry is None:
        return None
    known: User | None = User.objects.filter(source=SOURCE, source_id=entry.id).first()
    user = known or _adopt(entry)
    if user is None:
        return _new(entry)
    if user.state not in ADDRESSLESS:
        _follow(user, entry)
    return user


def _adopt(entry: Entry) -> User | None:
    """The account of this entry from before we could read its id; it has it from now on.

    It is known by its DN, or by its name, from before ids were kept. Not one that got its name
    in the portal: that was its owner's wish, not the directory's word.
    """
    rows = User.objects.filter(source=SOURCE, source_id=directory.id_of_dn(entry.dn))
    user: User | None = rows.first()
    if user is None and entry.username:
        rows = User.objects.filter(same("username", entry.username), source=SOURCE, source_id="")
        user = rows.order_by("-pk").first()
        user = None if user is None or _was_renamed(user) else user
    if user is None or not rows.filter(pk=user.pk).update(source_id=entry.id):
        return None
    user.source_id = entry.id
    user.record_event("directory_known", source=SOURCE, id=entry.id)
    return user


def _was_renamed(user: User) -> bool:
    changes = Event.objects.filter(subject=user.uuid, detail__has_key="after")
    afters = changes.values_list("detail__after", flat=True)
    return any(isinstance(after, dict) and "username" in after for after in afters)


def _new(entry: Entry) -> User:
    """Raises: Refused: ``directory_incomplete``, ``directory_name_taken``…"""
    said = _said(entry)
    user = User(
        **said,
        source=SOURCE,
        source_id=entry.id,
        state=AccountState.CONFIRMED,
        email_confirmed_at=timezone.now(),  # the directory vouches for it
    )
    user.set_unusable_password()
    try:
        with rules.alone(username=user.username, email=user.email):
            user.save()
            user.record_event("registered", by=user, now=user.state, source=SOURCE)
            addresses.hand_over(user)
            user.announce()
    except Refused as refused:
        raise _taken(user, refused) from None
    return user


def _said(entry: Entry) -> dict[str, str]:
    """Raises: Refused: ``directory_incomplete``."""
    texts = {
        "username": entry.username,
        "email": next(iter(entry.emails), ""),
        "given_name": entry.given_name,
        "family_name": entry.family_name,
    }
    try:
        return {field: FIELDS[field](text) for field, text in texts.items()}
    except Refused as refused:
        known = directory.configured()
        attribute = known.attributes[refused.field or "username"] if known else ""
        raise Refused(
            "directory_incomplete",
            f"{sources.name_of(SOURCE)} knows you, but what it says cannot be used here: its "
            f"{attribute} is {texts[refused.field or 'username'] or 'missing'!r}. {refused} "
            "Ask whoever looks after your entry there.",
        ) from None


def _taken(user: User, refused: Refused) -> Refused:
    name = sources.name_of(SOURCE)
    if refused.code == "username_taken":
        return Refused(
            "directory_name_taken",
            f"{name} knows you, but another account of this portal is called {user.username}. "
            "It was not touched. If it is yours, sign in with its own password; "
            "if not, ask an administrator.",
        )
    return Refused(
        "directory_email_taken",
        f"{name} knows you, but another account of this portal has your address {user.email}. "
        "It was not touched. If it is yours, sign in with its own password; "
        "if not, ask an administrator.",
    )


def _follow(user: User, entry: Entry) -> None:
    """Take over what has changed in the directory, as far as it can be used here."""
    changes = {field: text for field, text in _wanted(user, entry).items()
               if text != getattr(user, field)}  # fmt: skip
    if not changes:
        return
    try:
        _change(user, changes)
    except Refused:  # the new address is somebody else's: the rest changes without it
        user.record_event("address_kept", email=changes.pop("email"))
        if changes:
            _change(user, changes)


def _wanted(user: User, entry: Entry) -> dict[str, str]:
    is_known = user.email.lower() in {email.lower() for email in entry.emails}
    texts = {
        "email": user.email if is_known else next(iter(entry.emails), ""),
        "given_name": entry.given_name,
        "family_name": entry.family_name,
    }
    wanted = {}
    for field, text in texts.items():
        try:
            wanted[field] = FIELDS[field](text)
        except Refused:
            continue  # what we have is better than what cannot be kept
    return wanted


def _change(user: User, changes: dict[str, str]) -> None:
    """Raises: Refused: ``email_taken``."""
    before = {field: getattr(user, field) for field in changes}
    with rules.alone(email=changes.get("email", ""), besides=user):
        for field, text in changes.items():
            setattr(user, field, text)
        user.save(update_fields=list(changes))
        user.record_event("profile_changed", before=before, after=dict(changes), source=SOURCE)
        if "email" in changes:
            emails.email_changed(user, before["email"])
        user.announce()
