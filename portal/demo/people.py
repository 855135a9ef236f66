"""Made-up people: their requests, what was decided about them, and what they bring."""

import itertools
import random
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.db.models import QuerySet

from core.models import Event
from portal.demo import words
from portal.demo.making import BATCH, DOMAIN, PREFIX, make
from registration.models import QuotaWish, SshKey, User
from registration.states import AccountState

S = AccountState

#: Of a hundred people, how many are where; the rest is active.
SHARES: Mapping[str, int] = {
    S.CONFIRMED: 10, S.APPLIED: 2, S.REJECTED: 4, S.WITHDRAWN: 1, S.SUSPENDED: 2, S.CLOSED: 1,
}  # fmt: skip
WISHES = 20  # one of so many active people would like more

_PATHS: Mapping[str, tuple[str, ...]] = {
    S.APPLIED: (S.APPLIED,),
    S.CONFIRMED: (S.APPLIED, S.CONFIRMED),
    S.ACTIVE: (S.APPLIED, S.CONFIRMED, S.ACTIVE),
    S.REJECTED: (S.APPLIED, S.CONFIRMED, S.REJECTED),
    S.WITHDRAWN: (S.APPLIED, S.CONFIRMED, S.WITHDRAWN),
    S.SUSPENDED: (S.APPLIED, S.CONFIRMED, S.ACTIVE, S.SUSPENDED),
    S.CLOSED: (S.APPLIED, S.CONFIRMED, S.ACTIVE, S.CLOSED),
}
_REASONS: Mapping[str, tuple[str, ...]] = {
    S.REJECTED: (
        "Please register with the address of your institute.",
        "This cloud is for members of the partner laboratories.",
        "We could not find out what you would like to use it for; please apply again and say so.",
    ),
    S.WITHDRAWN: ("Withdrawn by the person.",),
    S.SUSPENDED: ("A machine of yours sent spam; write to us when it is repaired.",),
    S.CLOSED: ("The project has ended.",),
}


def add_people(users: int, now: datetime) -> None:
    """Add so many people, a tenth of them waiting for an administrator."""
    rng = random.Random(users)  # noqa: S311  (made up, not secret)
    states = [state for state, share in SHARES.items() for _ in range(users * share // 100)]
    states += [S.ACTIVE] * (users - len(states))
    rng.shuffle(states)
    for start in range(0, users, BATCH):
        numbered = enumerate(states[start : start + BATCH], start)
        people = make(_person(rng, number, state, now) for number, state in numbered)
        make(event for person in people for event in _history(person))
        make(_key(person) for person in people if rng.random() < 0.6)
        active = [person for person in people if person.state == S.ACTIVE]
        make(_wish(rng, person, now) for person in active[::WISHES])


def forget(people: QuerySet[User]) -> None:
    """Remove what refers to ``people``, who can be removed after it."""
    Event.objects.filter(owner__in=people).delete()
    QuotaWish.objects.filter(owner__in=people).delete()


def _person(rng: random.Random, number: int, state: str, now: datetime) -> User:
    given, family = rng.choice(words.GIVEN), rng.choice(words.FAMILY)
    username = f"{PREFIX}u{number}_{given.lower()}"[:20]
    waits = state in (S.APPLIED, S.CONFIRMED)
    asked = now - timedelta(days=rng.expovariate(1 / 3) if waits else rng.uniform(20, 700))
    decided = asked if state == S.APPLIED else asked + (now - asked) * rng.uniform(0.05, 0.3)
    was_here = state in (S.ACTIVE, S.SUSPENDED, S.CLOSED) and rng.random() < 0.9
    return User(
        username=username,
        email=f"{username}@{rng.choice(words.INSTITUTES)}.{DOMAIN}",
        given_name=given,
        family_name=family,
        password=make_password(None),
        message=rng.choice(words.MESSAGES),
        state=state,
        state_since=decided,
        reason=rng.choice(_REASONS.get(state, ("",))),
        created_at=asked,
        asked_at=asked,
        email_confirmed_at=None if state == S.APPLIED else asked + timedelta(minutes=9),
        policy_version=1,
        policy_agreed_at=asked,
        last_seen_at=decided + (now - decided) * rng.random() if was_here else None,
        last_login=decided if was_here else None,
    )


def _history(person: User) -> Iterator[Event]:
    about = {
        "kind": User.KIND, "subject": person.uuid, "owner": person,
        "subject_name": person.username,
    }  # fmt: skip
    at = person.asked_at
    yield Event(verb="registered", at=at, by=person, now=S.APPLIED, door="page", **about)
    path = _PATHS[person.state]
    step = (person.state_since - at) / max(1, len(path) - 1)
    for before, after in itertools.pairwise(path):
        at += step
        reason = person.reason if after == person.state else ""
        yield Event(verb="moved", at=at, was=before, now=after, reason=reason, **about)


def _key(person: User) -> SshKey:
    """Well formed, and nobody's: its bytes are a digest of the name."""
    number = uuid.uuid5(uuid.NAMESPACE_OID, person.username).hex
    return SshKey(
        owner=person,
        name="laptop",
        public_key=f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{number:A<43} laptop",
        fingerprint=f"SHA256:{number:A<43}",
        is_default=True,
    )


def _wish(rng: random.Random, person: User, now: datetime) -> QuotaWish:
    return QuotaWish(
        owner=person,
        machines=rng.choice((8, 12, 20)),
        vcpus=rng.choice((16, 32, 64)),
        message=rng.choice(words.WISHES),
        created_at=now - timedelta(days=rng.expovariate(1 / 2)),
    )
