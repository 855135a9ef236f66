"""Tell people what happens to what is theirs, and what they ask of what they were told."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.utils import timezone

from core import live
from core.errors import Refused
from core.models import record
from registration import noting, tasks
from registration.models import NoticeChoice, Notification, User, choices_of
from registration.notices import NOTICES, Mail


def notify(
    user: User, kind: str, *, sentence: str, url: str = "", about: Any = None, **data: Any
) -> Notification:
    """Tell ``user`` in the portal, and by mail and webhooks as they have chosen.

    Call it in the transaction of what it tells of: then it is told once, or not at all.

    ``kind`` is one of ``registration.notices``; ``url`` the path of the page it leads to;
    ``about`` the row it is about; ``data`` JSON for programs, free of secrets.
    """
    told = noting.tell(user, kind, sentence=sentence, url=url, about=about, **data)
    if told.mails:
        tasks.ring_mail(told.mails[0])
    for delivery in told.deliveries:
        tasks.ring_delivery(delivery)
    return told.notification


def notify_programs(
    user: User, kind: str, *, sentence: str, url: str = "", about: Any = None, **data: Any
) -> None:
    """As ``notify``, for webhooks alone: of one of many things of which the person is told once."""
    told = noting.tell_programs(user, kind, sentence=sentence, url=url, about=about, **data)
    for delivery in told:
        tasks.ring_delivery(delivery)


def wants_mail(user: User, kind: str) -> bool:
    """Whether ``user`` gets mails of this kind: for those whose mail is a letter of its own."""
    return noting.wants_mail(user, kind)


def read_notifications(user: User, *, only: Notification | None = None) -> int:
    """Note that ``user`` has read one of their notifications, or all; how many were unread.

    Raises: Refused: ``not_yours``.
    """
    if only is not None and only.owner_id != user.pk:
        raise Refused("not_yours", "This notification is somebody else's.")
    rows = Notification.objects.filter(owner=user).unread()
    if only is not None:
        rows = rows.filter(pk=only.pk)
    with transaction.atomic():
        if many := rows.update(read_at=timezone.now()):
            subject = str(only.uuid if only else user.uuid)
            audience = (user.pk,)
            transaction.on_commit(
                lambda: live.publish(Notification.KIND, subject, audience), robust=True
            )
    return many


def choose_mails(user: User, kinds: Iterable[str]) -> None:
    """Of what ``user`` can choose, these kinds go by mail from now on, and the others don't.

    Raises: Refused: ``kind_unknown``.
    """
    wanted = frozenset(kinds)
    if unknown := wanted - NOTICES.keys():
        raise Refused("kind_unknown", f"There is no notification called {sorted(unknown)[0]}.")
    offered = [notice for notice in NOTICES.values() if notice.mail != Mail.ALWAYS]
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        before = choices_of(user)
        now = {notice.name: notice.name in wanted for notice in offered}
        was = {one.name: before.get(one.name, one.mail == Mail.YES) for one in offered}
        if now == was:
            return
        NoticeChoice.objects.filter(owner=user).delete()
        NoticeChoice.objects.bulk_create(
            NoticeChoice(owner=user, kind=one.name, by_mail=now[one.name])
            for one in offered
            if now[one.name] != (one.mail == Mail.YES)
        )
        record(
            User.KIND, user.uuid, "notices_chosen", by=user, owner=user.pk, label=str(user),
            before=[name for name, is_on in was.items() if is_on],
            after=[name for name, is_on in now.items() if is_on],
        )  # fmt: skip
