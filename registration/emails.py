"""What the portal writes to people: one function for each occasion.

A mail is written in the transaction that it tells of and leaves after the commit, by a worker:
a mail server that is slow or down costs the person at the page nothing, the time of an answer
does not tell whether there was a mail, and a process that is killed loses none.
"""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils import dateformat

from registration import digest, outbox
from registration.letters import KINDS, Wording, compose, sample
from registration.models import Invitation, OutgoingMail, QuotaWish, User
from registration.outbox import Attached
from registration.tasks import ring_mail


def requested(user: User, administrators: Iterable[User]) -> None:
    """Tell the administrators, each in a mail of their own, that somebody waits.

    Where they want one mail a day, that one tells it.
    """
    if digest.is_daily():
        return
    _post(
        "requested",
        *(administrator.email for administrator in administrators),
        reply_to=user.email,
        person=user,
        email=user.email,
        dn=user.x500_dn,
        message=user.message or "They wrote no message.",
        link=_link("registration:queue"),
    )


def confirm(user: User, link: str) -> None:
    """Ask whoever reads this address whether the request is theirs."""
    _post("confirm", user.email, person=user, link=link)


def already_registered(user: User) -> None:
    """Tell the holder of an address that somebody asked for an account with it."""
    _post(
        "already_registered",
        user.email,
        person=user,
        link=_link("login"),
        reset_link=_link("registration:reset"),
    )


def received(user: User) -> None:
    _post("received", user.email, person=user, link=_link("registration:standing"))


def activated(user: User) -> None:
    _post("activated", user.email, person=user, link=_link("login"))


def rejected(user: User) -> None:
    _post("rejected", user.email, person=user, reason=user.reason, link=_link("login"))


def reopened(user: User) -> None:
    """Tell that a decision was undone: an earlier mail told it."""
    _post("reopened", user.email, person=user, link=_link("registration:standing"))


def suspended(user: User) -> None:
    _post("suspended", user.email, person=user, reason=user.reason)


def resumed(user: User) -> None:
    _post("resumed", user.email, person=user, link=_link("login"))


def closed(user: User) -> None:
    _post("closed", user.email, person=user, reason=user.reason)


def reset(user: User, token: str, *, is_known: bool = True) -> None:
    """Send the link to a new password; for a name nobody has, do the same work and send nothing."""
    _post(
        "reset",
        user.email if is_known else "",
        person=user,
        link=_link("registration:reset_confirm", user.uuid, token),
        hours=str(settings.PASSWORD_RESET_TIMEOUT // 3600),
    )


def password_elsewhere(user: User, where: str) -> None:
    """In place of a link: who has no password here is told where theirs is."""
    _post("password_elsewhere", user.email, person=user, where=where, link=_link("login"))


def identities_changed(user: User, what: str) -> None:
    """Tell that a way to sign in was added or removed."""
    link = _link("socialaccount_connections")
    _post("identities_changed", user.email, person=user, what=what, link=link)


def password_changed(user: User) -> None:
    _post("password_changed", user.email, person=user, link=_link("registration:reset"))


def email_confirm(user: User, link: str) -> None:
    """Ask whoever reads the new address whether it is this person's."""
    _post("email_confirm", user.new_email, person=user, link=link)


def email_change_asked(user: User, token: str) -> None:
    """Tell the address that counts: its owner may not be who asked."""
    link = _link("registration:new_email_stop", user.uuid, token)
    reset_link = _link("registration:reset")
    who, email = user.email, user.new_email
    _post("email_change_asked", who, person=user, email=email, link=link, reset_link=reset_link)


def second_factor_changed(user: User, what: str) -> None:
    """``what``: a full sentence that says what was added, removed or made anew."""
    _post("second_factor_changed", user.email, person=user, what=what, link=_link("mfa_index"))


def email_changed(user: User, was: str) -> None:
    """Tell both addresses: the old one may be the only one its owner still reads."""
    _post("email_changed", was, user.email, person=user, was=was, email=user.email)


def wish_asked(wish: QuotaWish, administrators: Iterable[User]) -> None:
    """Tell the administrators, each in a mail of their own, that somebody asks for more.

    Where they want one mail a day, that one tells it.
    """
    if digest.is_daily():
        return
    _post(
        "wish_asked",
        *(administrator.email for administrator in administrators),
        reply_to=wish.owner.email,
        person=wish.owner,
        limits=wish.in_words,
        message=wish.message,
        link=_link("registration:wishes"),
    )


def wish_granted(wish: QuotaWish) -> None:
    answer = "It was granted; you may use it at once."
    if wish.reason:
        answer = f"It was granted in part. {wish.reason}"
    owner = wish.owner
    _post("wish_granted", owner.email, person=owner, limits=wish.in_words, answer=answer)


def wish_declined(wish: QuotaWish) -> None:
    owner = wish.owner
    _post("wish_declined", owner.email, person=owner, limits=wish.in_words, reason=wish.reason)


def invited(invitation: Invitation, link: str) -> None:
    """To the account or the address; to an address, nothing tells whether it has an account.

    What the inviter wrote about the group goes to people of the portal alone: to others it
    would make a mail of theirs, with our name on it.
    """
    user, group, inviter = invitation.user, invitation.group, invitation.invited_by
    newcomer = "If you have no account yet, ask for one first: the invitation waits for you."
    _post(
        "invited",
        user.email if user else invitation.email,
        greeting=f"Dear {user.get_full_name()}," if user else "Hello,",
        inviter=f"{inviter.get_full_name()} ({inviter})",
        group=group.name,
        about=f"It is about: {group.description}" if user and group.description else "",
        until=dateformat.format(invitation.expires_at, "j F Y"),
        newcomer="" if user else newcomer,
        link=link,
    )


def disk_offered(to: User, giver: User, *, disk: str, size: str, link: str) -> None:
    """Tell somebody that a disk would be theirs, if they want it. ``disk`` holds no link."""
    who = f"{giver.get_full_name()} ({giver})"
    _post("disk_offered", to.email, person=to, giver=who, disk=disk, size=size, link=link)


def disk_offer_answered(giver: User, to: User, *, disk: str, answer: str) -> None:
    """Tell who offered a disk what became of it."""
    who = f"{to.get_full_name()} ({to})"
    _post("disk_offer_answered", giver.email, person=giver, who=who, disk=disk, answer=answer)


def metadata_sent(
    email: str, *, who: str, what: str, image: str, endorsed: str, days: str, link: str
) -> None:
    """Ask whoever reads an endorser's address whether a document is theirs."""
    _post(
        "metadata_sent",
        email,
        who=who,
        what=what,
        image=image,
        endorsed=endorsed,
        days=days,
        link=link,
    )


def metadata_reported(
    email: str,
    administrators: Iterable[User],
    *,
    who: str,
    what: str,
    image: str,
    endorsed: str,
    reference: str,
) -> None:
    """Tell the administrators that a document misuses an address."""
    _post(
        "metadata_reported",
        *(administrator.email for administrator in administrators),
        email=email,
        who=who,
        what=what,
        image=image,
        endorsed=endorsed,
        reference=reference,
        link=_link("audit"),
    )


def images_expiring(email: str, person: User | None, *, images: Iterable[str], link: str) -> None:
    """Tell an endorser what is valid for some days only. ``images``: a line each."""
    _post("images_expiring", email, greeting=_greeting(person), images="\n".join(images), link=link)


def images_endorsed(email: str, person: User | None, *, images: Iterable[str], link: str) -> None:
    """Tell an endorser what they vouch for. ``images``: a line each."""
    _post("images_endorsed", email, greeting=_greeting(person), images="\n".join(images), link=link)


def image_deprecated(
    user: User, *, image: str, endorser: str, reason: str, instead: str, link: str
) -> None:
    """Tell somebody who launched an image that its endorser advises against it."""
    _post(
        "image_deprecated",
        user.email,
        greeting=_greeting(user),
        image=image,
        endorser=endorser,
        reason=reason,
        instead=instead,
        link=link,
    )


def publication_asked(
    owner: User | None,
    administrators: Iterable[User],
    *,
    endorser: str,
    image: str,
    message: str,
) -> None:
    """Tell the administrators, each in a mail of their own, that an entry waits for them.

    ``owner`` None: whoever has the address ``endorser``, without an account here. Where
    administrators want one mail a day, that one tells it.
    """
    if digest.is_daily():
        return
    _post(
        "publication_asked",
        *(administrator.email for administrator in administrators),
        reply_to=owner.email if owner else endorser,
        name=owner.get_full_name() if owner else f"The owner of {endorser}",
        username=owner.username if owner else "no account here",
        image=image,
        message=message,
        link=_link("marketplace:publications"),
    )


def publication_answered(owner: User | None, *, image: str, link: str, reason: str) -> None:
    """Tell the owner of an entry what an administrator answered; with ``reason``: no."""
    if owner is None:
        return
    greeting = _greeting(owner)
    if reason:
        _post(
            "publication_rejected", owner.email, greeting=greeting, image=image, link=link,
            reason=reason,
        )  # fmt: skip
    else:
        _post("publication_approved", owner.email, greeting=greeting, image=image, link=link)


def image_saved(
    owner: User,
    *,
    identifier: str,
    image: str,
    machine: str,
    size: str,
    until: str,
    unsigned: str,
    steps: Iterable[str],
    disk_link: str,
    launch_link: str,
    link: str,
    draft: Attached,
) -> None:
    """Tell somebody that their machine's disk is an image now. ``steps``: what to do, a line each.

    ``until`` and ``launch_link`` are blank as long as it has no entry; ``unsigned`` says why.
    """
    _post(
        "image_saved", owner.email, person=owner, files=[draft], identifier=identifier,
        image=image, machine=machine, size=size, until=until, unsigned=unsigned,
        steps="\n".join(steps), disk_link=disk_link, launch_link=launch_link, link=link,
    )  # fmt: skip


def image_saved_author(
    email: str, owner: User, *, identifier: str, image: str, size: str, link: str, draft: Attached
) -> None:
    """Tell whom the owner named as the author. ``image`` holds no link."""
    _post(
        "image_saved_author", email, files=[draft], owner=f"{owner.get_full_name()} ({owner})",
        identifier=identifier, image=image, size=size, link=link,
    )  # fmt: skip


def _greeting(person: User | None) -> str:
    return f"Dear {person.get_full_name() or person}," if person else "Hello,"


def trial(kind: str, words: Wording, *, to: str) -> None:
    """Send a mail with made-up values to who is writing its words."""
    outgoing = outbox.put(kind, sample(KINDS[kind], words), to=[to])
    ring_mail(outgoing[0])


def hurry(mail: OutgoingMail) -> None:
    """Have a worker look at mails whose time has been brought forward."""
    ring_mail(mail)


def _link(name: str, *args: Any) -> str:
    return f"{settings.PORTAL_URL}{reverse(name, args=args)}"


def _post(
    kind: str,
    *to: str,
    reply_to: str = "",
    person: User | None = None,
    files: Iterable[Attached] = (),
    **values: str,
) -> None:
    if person is not None:
        values |= {"name": person.get_full_name(), "username": person.username}
    letter = compose(KINDS[kind], values)
    outgoing = outbox.put(kind, letter, to=to, reply_to=reply_to, files=files)
    if outgoing:
        ring_mail(outgoing[0])


def settle() -> None:
    """Send what waits now, in this process, as a worker does."""
    outbox.deliver()


def is_kept_in_files() -> bool:
    """Whether mails are written to files, which administrators read in the portal."""
    return settings.EMAIL_BACKEND.endswith(".filebased.EmailBackend")
