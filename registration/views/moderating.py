"""What every page shares on which administrators decide about things that wait.

A row of such a page has a ``uuid``, a ``name`` and ``verbs``; what can be said and what is
recorded is up to the actions. docs/developers/front-end.md tells the attributes.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.functional import cached_property

from core.errors import Refused
from core.http import UNPROCESSABLE, is_fragment
from registration.doors import UserRequest, path_to

ROWS = 25
EVERY_STATE = "all"
#: Of one press: a page of rows, and room for a second.
MOST_AT_ONCE = 100
#: The session's key of what was decided just now, until a page has told it.
KEY = "decided"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The words and addresses (URL names) of one kind of thing that waits."""

    kind: str  # on the live stream, and in the ids of rows
    what: str
    page: str
    row: str  # a row's own address
    row_template: str
    decide: str
    decide_many: str
    columns: tuple[str, ...]
    #: What lets it in, and what turns it away: (verb, word), (verb, word).
    yes: tuple[str, str]
    no: tuple[str, str]
    #: What undoes something: verb -> the verb that undoes it.
    undo: Mapping[str, str]
    #: What was done, in words that follow a name or "3 registrations": verb -> words.
    done: Mapping[str, str]

    @property
    def undoing(self) -> frozenset[str]:
        return frozenset(self.undo.values())


class KnownPaginator(Paginator):  # type: ignore[type-arg]
    """A paginator for what has been counted already."""

    def __init__(self, rows: Any, per_page: int, count: int) -> None:
        super().__init__(rows, per_page)
        self._known = count

    @cached_property
    def count(self) -> int:
        return self._known


def states_context(
    queue: Queue, states: Iterable[Any], counts: Mapping[str, int], wanted: str
) -> dict[str, Any]:
    """How many are in each state, in this order, and how many in the one that is wanted."""
    shown = {state.value: (state.value, state.label, counts.get(state, 0)) for state in states}
    total = sum(counts.values())
    return {
        "queue": queue,
        "states": list(shown.values()),
        "total": total,
        "wanted": wanted if wanted in shown else EVERY_STATE,
        "count": counts.get(wanted, 0) if wanted in shown else total,
    }


def is_about_states(request: UserRequest) -> bool:
    """Whether the page's script asks for the numbers alone, which cost one query."""
    return is_fragment(request) and request.GET.get("part") == "states"


def list_context(
    request: UserRequest,
    queue: Queue,
    rows: QuerySet[Any],
    *,
    count: int,
    read: Callable[[list[Any]], list[Any]],
) -> dict[str, Any]:
    """One page of ``rows``; ``read`` makes of the things what the template of a row wants."""
    page = KnownPaginator(rows, ROWS, count).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    return {
        "queue": queue,
        "page": page,
        "rows": read(list(page.object_list)),
        "query": query.urlencode(),
        "back": request.get_full_path(),
        "decided": _told(request, queue),
    }


def _told(request: UserRequest, queue: Queue) -> dict[str, Any] | None:
    """What was decided just before this page was asked for; told once."""
    decided = request.session.get(KEY)
    if not decided or decided["kind"] != queue.kind:
        return None
    del request.session[KEY]
    return dict(decided)


def decided(queue: Queue, verb: str, done: list[Any]) -> dict[str, Any]:
    """What to tell about what was just done, and what undoes it."""
    who = done[0].name if len(done) == 1 else f"{len(done)} {queue.what}"
    words = queue.done[verb]
    if len(done) > 1:
        words = words.replace("is ", "are ", 1).replace("waits ", "wait ", 1)
    return {
        "kind": queue.kind,
        "text": f"{who} {words}.",
        "undo": queue.undo.get(verb, ""),
        "rows": [str(row.uuid) for row in done],
    }


def limits_html(fields: list[dict[str, Any]]) -> str:
    """The fields of a fold for another quota, rendered once for all rows."""
    return render_to_string("components/_limits.html", {"fields": fields})


def reason_html(reasons: Iterable[Any] = (), typed: str = "") -> str:
    """The fields of a fold for a reason, rendered once for all rows."""
    context = {"reasons": reasons, "typed": typed}
    return render_to_string("components/_moderation_reason.html", context)


def answer(
    request: UserRequest,
    queue: Queue,
    verb: str,
    context: dict[str, Any],
    *,
    refusal: str = "",
) -> HttpResponse:
    """Show one row after its decision; without script, go back to the list."""
    back = path_to(request, reverse(queue.page))
    context |= {"queue": queue, "back": back, "refusal": refusal}
    if is_fragment(request):
        if not refusal:
            context["decided"] = decided(queue, verb, [context["row"]])
        status = UNPROCESSABLE if refusal else 200
        return render(request, "components/_moderation_answer.html", context, status=status)
    if refusal:
        messages.error(request, refusal)
    else:
        request.session[KEY] = decided(queue, verb, [context["row"]])
    return HttpResponseRedirect(back)


def each(things: Iterable[T], act: Callable[[T], None]) -> tuple[list[T], list[tuple[T, Refused]]]:
    """Do it to each for itself: who was done, and who was refused and why."""
    done, refusals = [], []
    for thing in things:
        try:
            act(thing)
        except Refused as refused:
            refusals.append((thing, refused))
        else:
            done.append(thing)
    return done, refusals


def answer_many(
    request: UserRequest,
    queue: Queue,
    verb: str,
    done: list[Any],
    refusals: list[tuple[Any, Refused]],
) -> HttpResponse:
    """Go back to the list, which tells what became of all of them. Each has a ``name``."""
    if done:
        request.session[KEY] = decided(queue, verb, done)
    for row, refused in refusals[:5]:
        messages.error(request, f"{row.name}: {refused}")
    if len(refusals) > 5:
        messages.error(request, f"{len(refusals) - 5} more were refused.")
    return HttpResponseRedirect(path_to(request, reverse(queue.page)))


def refuse(request: UserRequest, queue: Queue, refused: Refused) -> HttpResponse:
    """Go back to the list: nothing of it was done."""
    messages.error(request, str(refused))
    return HttpResponseRedirect(path_to(request, reverse(queue.page)))


def ticked(request: UserRequest) -> list[uuid.UUID]:
    """The rows that were ticked; what is no id is left out.

    Raises: Refused: ``nothing_ticked``, ``too_many_ticked``.
    """
    keys = []
    for text in request.POST.getlist("row"):
        try:
            keys.append(uuid.UUID(text))
        except ValueError:
            continue
    if not keys:
        raise Refused("nothing_ticked", "Tick at least one line first.")
    if len(keys) > MOST_AT_ONCE:
        sentence = f"At most {MOST_AT_ONCE} at once; {len(keys)} are ticked."
        raise Refused("too_many_ticked", sentence)
    return keys
