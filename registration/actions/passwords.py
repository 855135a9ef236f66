"""Proving who one is: signing in, changing the password, and getting a new one by mail.

Nobody learns here which names exist: an unknown name costs the same work and gets the
same answer as a known one.
"""

import uuid

from allauth.mfa.models import Authenticator
from django.contrib.auth.hashers import make_password
from django.db import transaction

from core.errors import Refused
from core.models import Event, Outcome, record
from registration import emails, names, sessions, throttle
from registration.actions import directory, links, rules
from registration.identities import sources
from registration.identities.directory import SOURCE
from registration.models import User
from registration.states import GONE, LET_IN, TOLD

#: Failures in a window (throttle.WINDOW) before a name is closed to an address, and
#: before an address is closed altogether.
MOST_FAILURES = 10
MOST_FAILURES_OF_ADDRESS = 100
#: Failures of a name from everywhere it was never signed in from, together: guessing from many
#: addresses is slow, and who has signed in from theirs is not kept out by it.
MOST_FAILURES_OF_NAME = 50
MOST_RESETS = 5
MOST_RESETS_OF_ADDRESS = 40
#: Mails with a link to one person, whoever asks from wherever. Apart from other mails to them,
#: so that these keep nobody from a new password; a link of the first mails is as good.
MOST_RESET_MAILS = 5

#: What the audit calls a right password; of so many, the latest, the addresses are familiar.
CAME_IN = ("signed_in", "password_given")
MOST_LOOKED_THROUGH = 100
#: A limit, and what it is a limit of.
Try = tuple[int, *tuple[str, ...]]

#: The subject of events about a name that nobody has.
NOBODY = uuid.UUID(int=0)


def sign_in(*, login: str, password: str, address: str) -> User:
    """The person of this name (or e-mail address) and password: let in, or told where they stand.

    ``address`` is where the request comes from.

    Raises:
        Refused: ``too_many_attempts``, ``credentials``; and with the right password
            ``account_closed``, and those of ``directory.enter``.
    """
    login = names.login(login)
    who = ("sign in", login.lower(), address)
    named: User | None = User.objects.named(login)
    tries: list[Try] = [(MOST_FAILURES, *who), (MOST_FAILURES_OF_ADDRESS, "sign in", address)]
    if not _is_familiar(named, address):
        tries.append((MOST_FAILURES_OF_NAME, "sign in to", login.lower()))
    _must_have_attempts_left(tries)
    user = named if _knows_password(named, password) else _in_directory(named, login, password)
    if user is None:
        _deny(named, "credentials")
        raise Refused("credentials", "The user name or the password is not right.")
    throttle.forget(*who)
    for _, *what in tries[1:]:
        throttle.give_back(*what)
    if user.state not in LET_IN | TOLD:
        _deny(user, user.state)
        raise Refused("account_closed", "This account is closed.")
    user.record_event(_what_it_means(user), by=user)
    return user


def _what_it_means(user: User) -> str:
    """A right password, in the audit's words: who has a second factor is not in yet."""
    if not user.is_active:
        return "looked"
    has_more = Authenticator.objects.filter(user=user).exists()
    return "password_given" if has_more else "signed_in"


def _must_have_attempts_left(tries: "list[Try]") -> None:
    """Raises: Refused: ``too_many_attempts``."""
    for limit, *what in tries:
        if until := throttle.take(limit, *what):
            raise rules.too_many_failures(until)


def _is_familiar(user: User | None, address: str) -> bool:
    """Whether this person was let in from ``address`` before."""
    came = Event.objects.filter(
        subject=user.uuid if user else uuid.uuid4(),  # as dear as for a name that exists
        verb__in=CAME_IN,
        outcome=Outcome.DONE,
    )
    known = came.order_by("-at").values_list("address", flat=True)[:MOST_LOOKED_THROUGH]
    return throttle.place(address) in {throttle.place(each) for each in known}


def _knows_password(user: User | None, password: str) -> bool:
    if user is None:
        make_password(password)  # as long as checking one
        return False
    return user.check_password(password)


def _in_directory(named: User | None, login: str, password: str) -> User | None:
    """The person whose password this is in the directory, if the site has one."""
    try:
        if named is not None and named.source == SOURCE and "@" in login:
            return directory.enter(named.username, password, id=named.source_id)
        return directory.enter(login, password)
    except Refused as refused:
        _deny(named, refused.code)
        raise


def _deny(user: User | None, reason: str) -> None:
    reason = f"Sign-in: {reason}"
    if user:
        user.record_event("signed_in", outcome=Outcome.DENIED, reason=reason)
    else:
        record(User.KIND, NOBODY, "signed_in", outcome=Outcome.DENIED, reason=reason)


def change_password(
    user: User, *, password: str, new_password: str, session: str | None = None
) -> None:
    """Replace the password. Every session of this person ends but the one with this key.

    Raises:
        Refused: ``password_elsewhere``, ``too_many_attempts``, ``password_wrong``,
            ``password_weak``.
    """
    if where := sources.where_password_is(user):
        raise Refused("password_elsewhere", where)
    rules.must_know_password(user, password)
    user.password = make_password(rules.new_password(new_password, of=user))
    user.new_email = ""  # whoever knew the old password may have asked for it
    with transaction.atomic():
        user.save(update_fields=["password", "new_email"])
        user.record_event("password_changed", by=user)
        sessions.end(sessions.of(user).exclude(session_key=session or ""))
        emails.password_changed(user)


def request_reset(*, login: str, address: str) -> None:
    """Send a link to a new password to whoever is meant. Says nothing about whether there is one.

    Nor whether it was sent: somebody who has got several in a short time gets no more.

    Raises:
        Refused: ``too_many_attempts``, whether or not the name exists.
    """
    login = names.login(login)
    until = throttle.take(MOST_RESETS, "reset", login.lower(), address) or throttle.take(
        MOST_RESETS_OF_ADDRESS, "reset", address
    )
    if until:
        sentence = f"This was asked for several times. Try again after {until:%H:%M} UTC."
        raise Refused("too_many_attempts", sentence)
    user: User | None = User.objects.named(login)
    is_known = user is not None and user.state not in GONE
    person = user if user and is_known else _decoy()
    if throttle.take(MOST_RESET_MAILS, "reset mail", str(person.uuid if is_known else login)):
        is_known, person = False, _decoy()
    with transaction.atomic():
        _note_reset(user if is_known else None)
        if where := sources.where_password_is(person):
            emails.password_elsewhere(person, where)
        else:
            emails.reset(person, links.password_links.make_token(person), is_known=is_known)


def _note_reset(user: User | None) -> None:
    if user:
        user.record_event("reset_asked")
    else:
        record(User.KIND, NOBODY, "reset_asked")


def _decoy() -> User:
    return User(
        pk=0, username="nobody", email="nobody@example.org", given_name="N", family_name="N"
    )


def person_of_link(uid: uuid.UUID, token: str) -> User:
    """Whose new password this link is good for, now.

    Raises:
        Refused: ``link_spent``.
    """
    user: User | None = User.objects.filter(uuid=uid).exclude(state__in=GONE).first()
    if user is None or not links.password_links.check_token(user, token):
        raise links.spent()
    return user


def reset_password(uid: uuid.UUID, token: str, *, new_password: str) -> User:
    """Use the link, once. Every session of this person ends.

    Raises:
        Refused: ``link_spent``, ``password_weak``.
    """
    user = person_of_link(uid, token)
    password = make_password(rules.new_password(new_password, of=user))
    _spend(user, "password_reset", password=password, new_email="")
    return user


def cancel_reset(uid: uuid.UUID, token: str) -> None:
    """Make this link, and every other one that is under way, worthless.

    Raises:
        Refused: ``link_spent``.
    """
    _spend(person_of_link(uid, token), "reset_cancelled")


@transaction.atomic
def _spend(user: User, verb: str, **fields: str) -> None:
    """Guarded by what the link was checked against: of two who use it at once, one does."""
    rows = User.objects.filter(
        pk=user.pk, password=user.password, reset_serial=user.reset_serial, state=user.state
    )
    if not rows.update(reset_serial=user.reset_serial + 1, **fields):
        raise links.spent()
    user.record_event(verb, by=user)
    if "password" in fields:
        sessions.end(sessions.of(user))
        emails.password_changed(user)
