"""What an administrator should know about a request before deciding, read for many at once."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Q
from django.db.models.functions import Lower

from core.models import Event
from registration.models import ApprovalRule, Rejection, User, patterns_of
from registration.states import NAMELESS, AccountState

#: Of earlier requests, so many are told in a row.
MOST_EARLIER = 5
#: So many that wait are looked through for the domains that are offered as a filter.
MOST_LOOKED_THROUGH = 2000


@dataclass(slots=True, kw_only=True)
class Applicant:
    """One request, with what is known around it."""

    person: User
    decision: Event | None = None  # the latest by an administrator or a rule
    refusals: list[Event] = field(default_factory=list)  # of this very account, before
    others: list[User] = field(default_factory=list)  # who used this name or address too
    rule: ApprovalRule | None = None  # would let this person in, and has not
    was_refused: bool = False  # this person, or one of the same name or address: no rule counts

    @property
    def uuid(self) -> str:
        return str(self.person.uuid)

    @property
    def name(self) -> str:
        return self.person.get_full_name()

    @property
    def verbs(self) -> frozenset[str]:
        return self.person.verbs

    @property
    def domain(self) -> str:
        return self.person.email.rpartition("@")[2]


def applicants(people: Sequence[User]) -> list[Applicant]:
    """``people`` with their history: six queries, however many they are."""
    rows = [Applicant(person=person) for person in people]
    _add_history(rows)
    _add_others(rows)
    _add_rules(rows)
    return rows


def _add_history(rows: Sequence[Applicant]) -> None:
    of = {row.person.uuid: row for row in rows}
    # By what they became and not by the verb: it has an index of all moves there ever were.
    moves = Event.objects.filter(subject__in=list(of), now__in=AccountState.values)
    for event in moves.select_related("by").order_by("pk"):
        row = of[event.subject]
        if "undone" in event.detail and event.was in NAMELESS:
            row.refusals = row.refusals[:-1]
        if event.now == row.person.state and _is_decision(event, row.person):
            row.decision = event
        if event.now in NAMELESS:
            row.refusals.append(event)
    for row in rows:
        if row.person.state in NAMELESS:
            row.refusals = row.refusals[:-1]  # the last one is not "before"


def _is_decision(event: Event, person: User) -> bool:
    """Not the person's own act, nor the portal's when an address was confirmed."""
    is_own = event.by_id == person.pk
    return not is_own and (event.by_id is not None or event.now == AccountState.ACTIVE)


def _add_others(rows: Sequence[Applicant]) -> None:
    names = {row.person.username.lower() for row in rows}
    addresses = {row.person.email.lower() for row in rows}
    asked = User.objects.alias(name=Lower("username"), address=Lower("email"))
    found = asked.filter(Q(name__in=names) | Q(address__in=addresses)).order_by("-pk")
    by_name, by_address = defaultdict(list), defaultdict(list)
    for other in found:
        by_name[other.username.lower()].append(other)
        by_address[other.email.lower()].append(other)
    for row in rows:
        same = by_name[row.person.username.lower()] + by_address[row.person.email.lower()]
        others = {other.pk: other for other in same if other.pk != row.person.pk}
        row.others = list(others.values())[:MOST_EARLIER]


def _add_rules(rows: Sequence[Applicant]) -> None:
    waiting = [row for row in rows if row.person.state == AccountState.CONFIRMED]
    refused = Rejection.objects.refused([row.person for row in waiting])
    patterns = {pattern for row in waiting for pattern in patterns_of(row.person.email)}
    known = {rule.pattern: rule for rule in ApprovalRule.objects.filter(pattern__in=patterns)}
    for row in waiting:
        of_row = (known.get(pattern) for pattern in patterns_of(row.person.email))
        row.rule = next((rule for rule in of_row if rule), None)
        row.was_refused = row.person.pk in refused


def waiting_domains(most: int = 20) -> list[str]:
    """The domains of those who wait, the most common first."""
    counts: dict[str, int] = defaultdict(int)
    emails = User.objects.waiting().order_by("asked_at").values_list("email", flat=True)
    for email in emails[:MOST_LOOKED_THROUGH]:
        counts[email.rpartition("@")[2].lower()] += 1
    return sorted(counts, key=lambda domain: (-counts[domain], domain))[:most]


def waiting_by_pattern(patterns: Sequence[str]) -> dict[str, int]:
    """How many of those who wait each pattern would let in."""
    counts = dict.fromkeys(patterns, 0)
    people = list(User.objects.waiting().only("username", "email"))
    refused = Rejection.objects.refused(people)
    for user in people:
        for pattern in patterns_of(user.email):
            if pattern in counts and user.pk not in refused:
                counts[pattern] += 1
    return counts
