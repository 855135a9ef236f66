"""Writes down what somebody is told: in the portal, by mail, and for their webhooks.

Below the actions, so that steps and housekeeping tell, too. Nothing is rung from here.
"""

import json
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from core import live
from registration import outbox
from registration.letters import KINDS, compose
from registration.models import (
    Delivery,
    NoticeChoice,
    Notification,
    OutgoingMail,
    User,
    Webhook,
)
from registration.notices import NOTICES, Mail, Notice
from registration.states import DeliveryState

#: Of one person. What comes beyond is given up at once: a site's worker is not theirs alone.
MOST_WAITING = 1000
LONGEST_SENTENCE = 300


class Told(NamedTuple):
    notification: Notification
    mails: list[OutgoingMail]
    deliveries: list[Delivery]


def tell(
    user: User, kind: str, *, sentence: str, url: str = "", about: Any = None, **data: Any
) -> Told:
    """Write a notification, its mail and its deliveries; all of them leave after the commit.

    ``url`` is a path of this site, ``about`` a row with a ``KIND`` and a ``uuid``; ``data`` is
    JSON for programs, and holds no secret.
    """
    notice = NOTICES[kind]
    note = _note(user, kind, sentence, url, about, data)
    note.save(force_insert=True)
    subject, audience = str(note.uuid), (user.pk,)
    transaction.on_commit(lambda: live.publish(Notification.KIND, subject, audience), robust=True)
    if not user.is_active:
        return Told(note, [], [])
    return Told(note, _mails(note, notice, user), _deliveries(note, user))


def tell_programs(
    user: User, kind: str, *, sentence: str, url: str = "", about: Any = None, **data: Any
) -> list[Delivery]:
    """As ``tell``, for their webhooks alone: of one of many things that the person hears of
    together."""
    if not user.is_active:
        return []
    return _deliveries(_note(user, kind, sentence, url, about, data), user)


def _note(
    user: User, kind: str, sentence: str, url: str, about: Any, data: dict[str, Any]
) -> Notification:
    return Notification(
        owner=user,
        kind=kind,
        sentence=" ".join(sentence.split())[:LONGEST_SENTENCE],
        url=url[:300],
        about_kind=about.KIND if about is not None else "",
        about=about.uuid if about is not None else None,
        about_name=str(about)[:100] if about is not None else "",
        data=data,
    )


def wants_mail(user: User, kind: str) -> bool:
    """Whether ``user`` gets mails of this kind."""
    notice = NOTICES[kind]
    if notice.mail == Mail.ALWAYS:
        return True
    chosen = NoticeChoice.objects.filter(owner=user, kind=kind).values_list("by_mail", flat=True)
    return next(iter(chosen), notice.mail == Mail.YES)


def _mails(note: Notification, notice: Notice, user: User) -> list[OutgoingMail]:
    if notice.has_letter or not wants_mail(user, notice.name):
        return []
    letter = compose(
        KINDS["notice"],
        {
            "name": user.get_full_name(),
            "username": user.username,
            "title": notice.title,
            "about": f": {note.about_name}" if note.about_name else "",
            "sentence": note.sentence,
            "link": absolute(note.url or reverse("registration:notifications")),
            "choices": absolute(reverse("registration:notification_choices")),
        },
    )
    return outbox.put("notice", letter, to=[user.email])


def _deliveries(note: Notification, user: User) -> list[Delivery]:
    hooks = [
        hook for hook in Webhook.objects.filter(owner=user, is_on=True) if note.kind in hook.kinds
    ]
    if not hooks:
        return []
    waiting = Delivery.objects.filter(webhook__owner=user, state=DeliveryState.WAITING).count()
    has_room = waiting + len(hooks) <= MOST_WAITING
    kept, text = note if note.pk else None, body_of(note)
    return [deliver(hook, note.kind, text, kept, has_room=has_room) for hook in hooks]


def deliver(
    hook: Webhook,
    kind: str,
    body: str,
    note: Notification | None = None,
    *,
    has_room: bool = True,
) -> Delivery:
    """Put ``body`` on its way; without room it is there to be sent again by hand."""
    row = Delivery(webhook=hook, notification=note, kind=kind, body=body)
    if has_room:
        row.next_tick_at = row.state_since
    else:
        row.state = DeliveryState.GIVEN_UP
        row.reason = f"{MOST_WAITING:,} deliveries to your webhooks waited already."
    row.save(force_insert=True)
    row.announce()
    return row


def body_of(note: Notification) -> str:
    about = {"kind": note.about_kind, "uuid": str(note.about), "name": note.about_name}
    return body(
        id=str(note.uuid),
        kind=note.kind,
        sentence=note.sentence,
        url=absolute(note.url) if note.url else "",
        about=about if note.about else None,
        data=note.data,
    )


def body(**said: Any) -> str:
    """The JSON that a webhook gets: ``said``, and the time."""
    return json.dumps(said | {"time": timezone.now().isoformat(timespec="seconds")})


def absolute(path: str) -> str:
    return f"{settings.PORTAL_URL}{path}"
