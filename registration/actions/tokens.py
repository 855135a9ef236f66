"""API tokens: made once and shown once, kept as a digest, limited in time and reach."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from core.errors import Refused
from core.models import NOTHING, deny, record
from registration import names, throttle, token_text
from registration.actions import rules
from registration.models import ApiToken, Scope, User

MOST_TOKENS = 20
LONGEST_NAME = 80
#: How often the last use of a token is written down.
USED_EVERY = timedelta(minutes=1)
#: In a window (throttle.WINDOW), from one address, before bad tokens are no longer looked up.
MOST_BAD_TOKENS = 60


class BadToken(Refused):
    """Whoever asks has not proved who they are."""


def create_token(
    *, owner: User, name: str, scope: str, expires_at: datetime
) -> tuple[ApiToken, str]:
    """A new token, and its text, which is nowhere kept.

    Raises:
        Refused: ``acting``, ``token_name_missing``, ``token_name_taken``, ``token_scope``,
            ``token_expiry``, ``too_many_tokens``.
    """
    sentence = "Only the person may make a token: it speaks in their name."
    rules.must_be_the_person(owner, ApiToken.KIND, "token_created", Refused("acting", sentence))
    return _create(owner, name, scope, expires_at)


@transaction.atomic
def _create(owner: User, name: str, scope: str, expires_at: datetime) -> tuple[ApiToken, str]:
    """Raises: Refused: as ``create_token``, but not ``acting``."""
    name = _name(name)
    if scope not in Scope.values:
        raise Refused("token_scope", "Choose what the token may do: read or write.", field="scope")
    _must_end_in_time(expires_at)
    User.objects.select_for_update(no_key=True).get(pk=owner.pk)  # two tabs, one limit
    _must_have_room(owner, name)
    text = token_text.new_token()
    token = ApiToken.objects.create(
        owner=owner,
        name=name,
        digest=token_text.digest(text),
        hint=token_text.hint(text),
        scope=scope,
        expires_at=expires_at,
    )
    after = {"name": name, "scope": scope, "expires_at": expires_at.isoformat()}
    _note("token_created", token, by=owner, after=after)
    return token, text


def _name(name: str) -> str:
    name = names.one_line(name)
    if not name or len(name) > LONGEST_NAME:
        raise Refused(
            "token_name_missing",
            f"Write what the token is for, in 1 to {LONGEST_NAME} characters.",
            field="name",
        )
    return name


def _must_end_in_time(expires_at: datetime) -> None:
    now = timezone.now()
    most = settings.PORTAL_TOKEN_DAYS
    # A day that is chosen ends at its midnight: the last one counts whole.
    if not now < expires_at < now + timedelta(days=most + 1):
        raise Refused(
            "token_expiry",
            f"A token ends in the future, at most {most} days from now: by "
            f"{now + timedelta(days=most):%-d %B %Y}.",
            field="until",
        )


def _must_have_room(owner: User, name: str) -> None:
    good = ApiToken.objects.filter(owner=owner).good()
    if good.filter(name__iexact=name).exists():
        raise Refused(
            "token_name_taken",
            f"You have a token called {name} already. Choose another name, or revoke that one.",
            field="name",
        )
    if (count := good.count()) >= MOST_TOKENS:
        raise Refused(
            "too_many_tokens",
            f"You have {count} tokens, and may have {MOST_TOKENS}. Revoke one that nothing uses.",
        )


@transaction.atomic
def revoke_token(token: ApiToken, *, by: User) -> None:
    """End a token at once; a second time changes nothing. Raises: Refused: ``not_yours``."""
    if not (by.is_staff or token.owner_id == by.pk):
        raise Refused("not_yours", f"{token} is somebody else's token.")
    now = timezone.now()
    if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
        token.revoked_at = now
        _note("token_revoked", token, by=by, before={"name": token.name, "scope": token.scope})


def use_token(text: str, *, scope: str, address: str) -> ApiToken:
    """The good token that this text is, with its owner, who is let in; its use is noted.

    ``scope`` is what it is used for, ``address`` where the request comes from.

    It is found by its digest: what the database compares says nothing about the token.

    Raises:
        BadToken: ``token_unknown``, ``token_expired``, ``token_revoked``, ``not_let_in``.
        Refused: ``scope``; and ``too_many_attempts``, for bad tokens alone: whoever shares an
            address with a program that fails is not kept out.
    """
    token = _find(text)
    if token is None:
        raise _bad(None, "token_unknown", "Nobody has this token.", address)
    if token.revoked_at is not None:
        raise _bad(token, "token_revoked", "This token is revoked. Make a new one.", address)
    if not token.is_good:
        ended = f"This token ended on {token.expires_at:%-d %B %Y}. Make a new one."
        raise _bad(token, "token_expired", ended, address)
    if not token.owner.is_active:
        sentence = "The account of this token is not let in. Sign in to see why."
        raise _bad(token, "not_let_in", sentence, address)
    _note_use(token, address)
    if scope == Scope.WRITE and token.scope != Scope.WRITE:
        sentence = "This token may only read. Make one that may write."
        _note_denial(token, sentence, by=token.owner)
        raise Refused("scope", sentence)
    return token


def _find(text: str) -> ApiToken | None:
    if not token_text.is_token(text):
        return None
    found = ApiToken.objects.filter(digest=token_text.digest(text)).select_related("owner")
    return found.first()


def _bad(token: ApiToken | None, code: str, sentence: str, address: str) -> Refused:
    if until := throttle.take(MOST_BAD_TOKENS, "token", address):
        return rules.too_many_failures(until)
    _note_denial(token, sentence, by=None)
    return BadToken(code, sentence)


def _note_denial(token: ApiToken | None, sentence: str, *, by: User | None) -> None:
    about: dict[str, Any] = {}
    if token is not None:
        about = {"owner": token.owner_id, "label": token.name, "hint": token.hint}
    subject = token.uuid if token else NOTHING
    deny(ApiToken.KIND, subject, "token_used", by=by, reason=sentence, **about)


def _note_use(token: ApiToken, address: str) -> None:
    now = timezone.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - USED_EVERY)
    if token.last_used_at is not None and token.last_used_at >= now - USED_EVERY:
        return
    rows = ApiToken.objects.filter(stale, pk=token.pk)
    if rows.update(last_used_at=now, last_used_from=address[:45]):
        User.objects.filter(pk=token.owner_id).update(last_seen_at=now)


def _note(verb: str, token: ApiToken, *, by: User | None, **more: Any) -> None:
    record(
        ApiToken.KIND,
        token.uuid,
        verb,
        by=by,
        owner=token.owner_id,
        label=token.name,
        hint=token.hint,
        **more,
    )
