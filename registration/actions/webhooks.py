"""A person's webhooks: addresses that are told, signed with a secret that only both ends know."""

import secrets
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from core import fetch
from core.errors import Refused
from core.machine import StaleState
from core.models import record
from registration import noting, tasks, throttle
from registration.actions import rules
from registration.models import Delivery, User, Webhook
from registration.notices import NOTICES, TEST
from registration.sealing import seal
from registration.states import DeliveryState

MOST_WEBHOOKS = 10
LONGEST_URL = 500
#: Asked for by a person, in a window (throttle.WINDOW).
MOST_BY_HAND = 60


def add_webhook(*, owner: User, url: str, kinds: Iterable[str]) -> tuple[Webhook, str]:
    """A new webhook, and its secret, which is shown now and never again.

    Raises:
        Refused: ``acting``, ``webhook_address``, ``webhook_kinds``, ``too_many_webhooks``.
    """
    _must_be_the_person(owner, "webhook_added")
    url, kinds = _address(url), _kinds(kinds)
    secret = _new_secret()
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=owner.pk)  # two tabs, one limit
        if Webhook.objects.filter(owner=owner).count() >= MOST_WEBHOOKS:
            sentence = f"You have {MOST_WEBHOOKS} webhooks, the most there may be. Remove one."
            raise Refused("too_many_webhooks", sentence)
        hook = Webhook.objects.create(owner=owner, url=url, kinds=kinds, sealed_secret=seal(secret))
        _note("webhook_added", hook, by=owner, after=_said(hook))
    return hook, secret


def change_webhook(hook: Webhook, *, url: str, kinds: Iterable[str], is_on: bool, by: User) -> None:
    """Have it told elsewhere, of something else, or not at all.

    Raises: Refused: ``acting``, ``not_yours``, ``webhook_address``, ``webhook_kinds``.
    """
    _must_be_theirs(hook, by, "webhook_changed")
    url, kinds = _address(url), _kinds(kinds)
    with transaction.atomic():
        now = Webhook.objects.select_for_update().get(pk=hook.pk)
        before = _said(now)
        fields: dict[str, Any] = {"url": url, "kinds": kinds, "is_on": is_on}
        if is_on and (not now.is_on or url != now.url):
            fields |= {"off_reason": "", "failing_since": None, "rests_until": None}
        for name, value in fields.items():
            setattr(now, name, value)
            setattr(hook, name, value)
        now.save(update_fields=list(fields))
        if before != (after := _said(now)):
            _note("webhook_changed", now, by=by, before=before, after=after)


def renew_webhook_secret(hook: Webhook, *, by: User) -> str:
    """A new secret, shown now and never again; the one before signs nothing any more.

    Raises: Refused: ``acting``, ``not_yours``.
    """
    _must_be_theirs(hook, by, "webhook_secret_renewed")
    secret = _new_secret()
    with transaction.atomic():
        Webhook.objects.filter(pk=hook.pk).update(sealed_secret=seal(secret))
        _note("webhook_secret_renewed", hook, by=by)
    return secret


def remove_webhook(hook: Webhook, *, by: User) -> None:
    """Tell it nothing any more, and forget what it was told. Raises: Refused: ``not_yours``."""
    _must_own(hook, by)
    with transaction.atomic():
        if Webhook.objects.filter(pk=hook.pk).delete()[0]:
            _note("webhook_removed", hook, by=by, before=_said(hook))


def test_webhook(hook: Webhook, *, by: User) -> Delivery:
    """Send it something that tells of nothing, switched on or not.

    Raises: Refused: ``not_yours``, ``too_many_deliveries``.
    """
    _must_own(hook, by)
    _must_not_be_too_many(by)
    with transaction.atomic():
        body = noting.body(
            id=None, kind=TEST, sentence=f"This is a test, asked for by {by}.", about=None, data={},
            url=noting.absolute(reverse("registration:webhook", args=[hook.uuid])),
        )  # fmt: skip
        delivery = noting.deliver(hook, TEST, body)
        _wake(hook)
        _note("webhook_tested", hook, by=by)
        tasks.ring_delivery(delivery)
    return delivery


# A verb of ours, and no test.
test_webhook.__test__ = False  # type: ignore[attr-defined]


def send_again(delivery: Delivery, *, by: User) -> None:
    """Send what was delivered, or given up, once more: the same body, under the same id.

    Raises: Refused: ``not_yours``, ``delivery_state``, ``too_many_deliveries``.
    """
    _must_own(delivery.webhook, by)
    if "send_again" not in delivery.verbs:
        raise _waits(delivery)
    if not delivery.webhook.is_on and delivery.kind != TEST:
        raise Refused("webhook_off", "This webhook is switched off. Switch it on first.")
    _must_not_be_too_many(by)
    try:
        delivery.move(
            DeliveryState.WAITING,
            by=by,
            verb="delivery_sent_again",
            tries=0,
            alongside=lambda: _wake(delivery.webhook),
        )
    except StaleState:
        raise _waits(delivery) from None
    tasks.ring_delivery(delivery)


def _waits(delivery: Delivery) -> Refused:
    return Refused("delivery_state", f"This delivery is {DeliveryState.WAITING.label.lower()} "
                   "already: it is tried by itself.")  # fmt: skip


def _wake(hook: Webhook) -> None:
    """Somebody looks at it: it need not rest first."""
    Webhook.objects.filter(pk=hook.pk).update(rests_until=None)


def _address(url: str) -> str:
    url = url.strip()
    if len(url) > LONGEST_URL:
        sentence = f"The address has {len(url)} characters; it may have {LONGEST_URL}."
        raise Refused("webhook_address", sentence, field="url")
    if "@" in url.partition("://")[2].partition("/")[0]:
        sentence = (
            "An address with a user name or password in it is not taken. What is sent is signed: "
            "that tells who sends it."
        )
        raise Refused("webhook_address", sentence, field="url")
    try:
        fetch.check(url, settings.PORTAL_FETCH_PORTS)
    except fetch.Unfetchable as exc:
        raise Refused("webhook_address", str(exc), field="url") from exc
    return url


def _kinds(kinds: Iterable[str]) -> list[str]:
    wanted = frozenset(kinds)
    if not wanted or wanted - NOTICES.keys():
        raise Refused("webhook_kinds", "Choose at least one kind of notification.", field="kinds")
    return [name for name in NOTICES if name in wanted]


def _new_secret() -> str:
    return f"whsec_{secrets.token_urlsafe(32)}"


def _must_own(hook: Webhook, by: User) -> None:
    if hook.owner_id != by.pk:
        raise Refused("not_yours", "This webhook is somebody else's.")


def _must_be_theirs(hook: Webhook, by: User, verb: str) -> None:
    _must_own(hook, by)
    _must_be_the_person(by, verb)


def _must_be_the_person(owner: User, verb: str) -> None:
    sentence = "Only the person may do this: a webhook tells an address what they are told."
    rules.must_be_the_person(owner, Webhook.KIND, verb, Refused("acting", sentence))


def _must_not_be_too_many(by: User) -> None:
    if until := throttle.take(MOST_BY_HAND, "webhook by hand", str(by.uuid)):
        sentence = f"{MOST_BY_HAND} were sent by hand already. Try again after {until:%H:%M} UTC."
        raise Refused("too_many_deliveries", sentence)


def _said(hook: Webhook) -> dict[str, Any]:
    """What the audit keeps of it; what a query holds may open a door elsewhere."""
    address = hook.url.partition("?")[0]
    return {"address": address, "kinds": ", ".join(hook.kinds), "is_on": hook.is_on}


def _note(verb: str, hook: Webhook, *, by: User, **more: Any) -> None:
    label = hook.url.partition("?")[0]
    record(Webhook.KIND, hook.uuid, verb, by=by, owner=hook.owner_id, label=label, **more)
