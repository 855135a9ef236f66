"""What the portal writes to people, in text and HTML.

A mail is rendered where it is asked for and leaves after the commit, on a thread of its
own: a mail server that is slow or down costs the person at the page nothing, and the time
of an answer does not tell whether there was a mail.
"""

import logging
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse

from registration.models import Invitation, QuotaWish, User

logger = logging.getLogger(__name__)


def requested(user: User, administrators: Iterable[User]) -> None:
    """Tell the administrators, each in a mail of their own, that somebody waits."""
    for administrator in administrators:
        _post(
            "requested",
            administrator.email,
            f"Registration of {user.get_full_name()} ({user})",
            reply_to=user.email,
            person=user,
            link=_link("registration:queue"),
        )


def confirm(user: User, link: str) -> None:
    """Ask whoever reads this address whether the request is theirs."""
    _post("confirm", user.email, "Confirm your e-mail address", person=user, link=link)


def already_registered(user: User) -> None:
    """Tell the holder of an address that somebody asked for an account with it."""
    _post(
        "already_registered",
        user.email,
        "You have an account already",
        person=user,
        link=_link("login"),
        reset_link=_link("registration:reset"),
    )


def received(user: User) -> None:
    _post("received", user.email, "Your registration", person=user)


def activated(user: User) -> None:
    _post("activated", user.email, "Your account is active", person=user, link=_link("login"))


def rejected(user: User) -> None:
    _post("rejected", user.email, "Your registration was not accepted", person=user)


def suspended(user: User) -> None:
    _post("suspended", user.email, "Your account is suspended", person=user)


def resumed(user: User) -> None:
    _post("resumed", user.email, "Your account is active again", person=user, link=_link("login"))


def closed(user: User) -> None:
    _post("closed", user.email, "Your account is closed", person=user)


def reset(user: User, token: str, *, is_known: bool = True) -> None:
    """Send the link to a new password; for a name nobody has, do the same work and send nothing."""
    _post(
        "reset",
        user.email if is_known else "",
        "A new password",
        person=user,
        link=_link("registration:reset_confirm", user.uuid, token),
        hours=settings.PASSWORD_RESET_TIMEOUT // 3600,
    )


def password_elsewhere(user: User, where: str) -> None:
    """In place of a link: who has no password here is told where theirs is."""
    link = _link("login")
    _post("password_elsewhere", user.email, "Your password", person=user, where=where, link=link)


def identities_changed(user: User, what: str) -> None:
    """Tell that a way to sign in was added or removed."""
    link = _link("socialaccount_connections")
    subject = "A way to sign in has changed"
    _post("identities_changed", user.email, subject, person=user, what=what, link=link)


def password_changed(user: User) -> None:
    link = _link("registration:reset")
    _post("password_changed", user.email, "Your password has changed", person=user, link=link)


def email_confirm(user: User, link: str) -> None:
    """Ask whoever reads the new address whether it is this person's."""
    _post("email_confirm", user.new_email, "Confirm your new address", person=user, link=link)


def second_factor_changed(user: User, what: str) -> None:
    """``what``: a full sentence that says what was added, removed or made anew."""
    link = _link("mfa_index")
    subject = "Your second factor has changed"
    _post("second_factor_changed", user.email, subject, person=user, what=what, link=link)


def email_changed(user: User, was: str) -> None:
    """Tell both addresses: the old one may be the only one its owner still reads."""
    for address in (was, user.email):
        _post("email_changed", address, "Your e-mail address has changed", person=user, was=was)


def wish_asked(wish: QuotaWish, administrators: Iterable[User]) -> None:
    """Tell the administrators, each in a mail of their own, that somebody asks for more."""
    owner = wish.owner
    for administrator in administrators:
        _post(
            "wish_asked",
            administrator.email,
            f"{owner.get_full_name()} ({owner}) asks for more quota",
            reply_to=owner.email,
            person=owner,
            wish=wish,
            link=_link("registration:wishes"),
        )


def wish_granted(wish: QuotaWish) -> None:
    _post("wish_granted", wish.owner.email, "Your quota is larger", person=wish.owner, wish=wish)


def wish_declined(wish: QuotaWish) -> None:
    subject = "Your quota stays as it is"
    _post("wish_declined", wish.owner.email, subject, person=wish.owner, wish=wish)


def invited(invitation: Invitation, link: str) -> None:
    """To the account or the address; to an address, nothing tells whether it has an account."""
    to = invitation.user.email if invitation.user else invitation.email
    subject = f"An invitation to the group {invitation.group}"
    _post("invited", to, subject, invitation=invitation, link=link)


def _link(name: str, *args: Any) -> str:
    return f"{settings.PORTAL_URL}{reverse(name, args=args)}"


def _post(template: str, to: str, subject: str, *, reply_to: str = "", **context: Any) -> None:
    context |= {"site_name": settings.PORTAL_SITE_NAME, "portal_url": settings.PORTAL_URL}
    message = EmailMultiAlternatives(
        subject=f"{settings.PORTAL_SITE_NAME}: {subject}",
        body=render_to_string(f"registration/email/{template}.txt", context),
        to=[to] if to else [],
        reply_to=[reply_to] if reply_to else None,
        headers={"Auto-Submitted": "auto-generated"},  # RFC 3834: no holiday notes in answer
    )
    html = render_to_string(f"registration/email/{template}.html", context)
    message.attach_alternative(html, "text/html")
    transaction.on_commit(lambda: _hand_over(template, message), robust=True)


@cache
def _postman() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")


_last: list["Future[None]"] = []


def _hand_over(template: str, message: EmailMultiAlternatives) -> None:
    _last[:] = [_postman().submit(_send, template, message)]


def settle(timeout_s: float = 10.0) -> None:
    """Wait until every mail handed over so far has left or failed."""
    for future in _last:
        future.result(timeout_s)


def _send(template: str, message: EmailMultiAlternatives) -> None:
    if not message.to:
        return
    try:
        message.connection = get_connection()
        message.send()
    except (OSError, ImproperlyConfigured) as exc:  # SMTP's errors are OSErrors too
        logger.error("mail.failed", extra={"template": template, "error": repr(exc)})
    else:
        logger.info("mail.sent", extra={"template": template})


def is_kept_in_files() -> bool:
    """Whether mails are written to files, which administrators read in the portal."""
    return settings.EMAIL_BACKEND.endswith(".filebased.EmailBackend")
