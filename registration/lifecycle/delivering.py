"""The step of a delivery: send what was written, signed, and book the next try if need be.

A try is written down, and the next one booked, before the first byte leaves: a worker that is
killed in the middle has tried, and nobody tries again at once. All tries carry one id, by which
the receiver knows a second copy.
"""

import hashlib
import hmac
import logging
import time
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Max
from django.urls import reverse
from django.utils import timezone

from cloud.driver import CloudDriver
from core import fetch
from core.machine import Go, Step
from core.models import record
from core.posting import Answer, post
from registration import noting, throttle
from registration.models import Delivery, DeliveryTry, Webhook
from registration.notices import TEST
from registration.sealing import Unreadable, unseal
from registration.states import DeliveryState

logger = logging.getLogger(__name__)

#: After each try that failed; after the last one it is given up.
PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 720))
#: After one that did not answer, the others of the same webhook wait so long.
REST = timedelta(minutes=1)
#: Tries for the webhooks of one person in a window (throttle.WINDOW).
MOST_TRIES = 300
#: A webhook that has failed for so long is switched off.
OFF_AFTER = timedelta(days=3)


def send(delivery: Delivery, _cloud: CloudDriver) -> Go | None:
    """WAITING: send it, unless its time has not come; give up after the last try."""
    hook = delivery.webhook
    if refusal := _not_wanted(delivery, hook):
        return Go(DeliveryState.GIVEN_UP, refusal)
    if delivery.tries > len(PAUSES):  # the worker was killed in the last one
        return _given_up(delivery, hook, "The worker ended in the middle of the last try.")
    if later := _not_yet(hook):
        delivery.keep(next_tick_at=later)
        return None
    attempt = _begin(delivery)
    answer, error = _attempt(delivery, hook, attempt)
    if answer is not None and answer.is_good:
        return Go(DeliveryState.DELIVERED, fields={"tries": delivery.tries},
                  alongside=lambda: _note_success(hook))  # fmt: skip
    _note_failure(hook, is_silent=answer is None)
    if delivery.tries > len(PAUSES):
        return _given_up(delivery, hook, error)
    delivery.keep(reason=error)
    return None


def _not_wanted(delivery: Delivery, hook: Webhook) -> str:
    if not hook.owner.is_active:
        return "The account is not active."
    if not hook.is_on and delivery.kind != TEST:
        return "The webhook is switched off."
    return ""


def _not_yet(hook: Webhook) -> datetime | None:
    """When there is time for it, if that is not now."""
    if hook.rests_until and hook.rests_until > timezone.now():
        return hook.rests_until
    return throttle.take(MOST_TRIES, "webhook", str(hook.owner.uuid))


def _begin(delivery: Delivery) -> DeliveryTry:
    pause = PAUSES[min(delivery.tries, len(PAUSES) - 1)]
    delivery.keep(tries=delivery.tries + 1, next_tick_at=timezone.now() + pause)
    latest = delivery.attempts.aggregate(Max("number"))["number__max"] or 0
    return DeliveryTry.objects.create(delivery=delivery, number=latest + 1)


def _attempt(delivery: Delivery, hook: Webhook, attempt: DeliveryTry) -> tuple[Answer | None, str]:
    """The answer, if there is one, and what was wrong with it; both are in the log."""
    began = time.monotonic()
    answer, error = None, ""
    try:
        answer = _post(delivery, hook, attempt.number)
    except fetch.Unfetchable as exc:
        error = str(exc)
    except Unreadable:
        error = "The portal's secret key has changed: give the webhook a new secret."
    if answer is not None and not answer.is_good:
        error = _in_words(answer)
    attempt.took_ms = int((time.monotonic() - began) * 1000)
    attempt.status = answer.status if answer else None
    attempt.answer = _printable(answer.text)[:500] if answer else ""
    attempt.error = error[:300]
    attempt.save(update_fields=["took_ms", "status", "answer", "error"])
    logger.info(
        "webhook.tried",
        extra={"subject": delivery.token, "status": attempt.status, "took_ms": attempt.took_ms},
    )
    return answer, error


def _post(delivery: Delivery, hook: Webhook, number: int) -> Answer:
    body = delivery.body.encode()
    headers = {
        "Content-Type": "application/json",
        "X-StratusLab-Event": delivery.kind,
        "X-StratusLab-Delivery": delivery.token,
        "X-StratusLab-Attempt": str(number),
        "X-StratusLab-Signature": signature(
            unseal(hook.sealed_secret), body, int(timezone.now().timestamp())
        ),
    }
    return post(
        hook.url,
        body,
        headers,
        allowed=fetch.networks(settings.PORTAL_FETCH_NETWORKS),
        ports=settings.PORTAL_FETCH_PORTS,
    )


def signature(secret: str, body: bytes, at: int) -> str:
    """What proves that ``body`` comes from who knows ``secret``, and was sent at ``at`` (Unix)."""
    signed = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"


def _in_words(answer: Answer) -> str:
    if 300 <= answer.status < 400:
        return f"It answers {answer.status} and sends us elsewhere: give the address it ends at."
    return f"It answers {answer.status}, and not 2xx."


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\n" else "·" for char in text)


def _note_success(hook: Webhook) -> None:
    Webhook.objects.filter(pk=hook.pk).update(failing_since=None, rests_until=None)


def _note_failure(hook: Webhook, *, is_silent: bool) -> None:
    now = timezone.now()
    rows = Webhook.objects.filter(pk=hook.pk)
    rows.filter(failing_since=None).update(failing_since=now)
    if is_silent:
        rows.update(rests_until=now + REST)


def _given_up(delivery: Delivery, hook: Webhook, error: str) -> Go:
    reason = f"Given up after {delivery.tries} tries. {error}"
    return Go(DeliveryState.GIVEN_UP, reason, alongside=lambda: _switch_off(hook, error))


def _switch_off(hook: Webhook, error: str) -> None:
    """If nothing has reached it for days; told once, to its owner."""
    long_ago = timezone.now() - OFF_AFTER
    reason = f"Nothing was delivered for {OFF_AFTER.days} days. {error}"[:300]
    failing = Webhook.objects.filter(pk=hook.pk, is_on=True, failing_since__lt=long_ago)
    if not failing.update(is_on=False, off_reason=reason):
        return
    record(Webhook.KIND, hook.uuid, "webhook_off", owner=hook.owner_id, label=str(hook),
           reason=reason)  # fmt: skip
    noting.tell(
        hook.owner,
        "webhook_off",
        sentence=f"The webhook {_shortened(hook.url)} is switched off: {reason}",
        url=reverse("registration:webhook", args=[hook.uuid]),
        about=hook,
    )


def _shortened(url: str) -> str:
    return url if len(url) <= 80 else f"{url[:79]}…"


DELIVERY_STEPS: Mapping[str, Step[Delivery]] = {DeliveryState.WAITING: send}
