"""What was used: one's own, and everybody's for administrators."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from core.http import csv_answer, query_without
from registration import names
from registration.doors import UserRequest, administrators_only
from registration.models import User
from vms import usage
from vms.actions import quota_use
from vms.forms import PeriodForm
from vms.usage import Period, Used

ROWS = 25
MONTHS = 12
#: Sort words of the report, each a figure of ``Used``.
SORTS = {
    "machines": "machines",
    "machine_hours": "machine_s",
    "vcpu_hours": "vcpu_s",
    "memory": "memory_mib_s",
    "disk": "disk_mib_s",
    "kept": "kept_bytes_s",
}
FIRST = "-vcpu_hours"

Line = tuple[User, Used]


@login_required
@require_safe
def mine(request: UserRequest) -> HttpResponse:
    """What one may hold, holds, and used in the months of the last year."""
    periods = usage.months(MONTHS, until=timezone.now())
    used = usage.of_person(request.user, periods)
    months = [(period.since, one) for period, one in zip(periods, used, strict=True)]
    used_in = (number for number, (_, one) in enumerate(months) if one.machines or one.kept_bytes_s)
    last = max(used_in, default=-1)
    context = {"use": quota_use(request.user), "months": months[: last + 1]}
    return render(request, "vms/my_usage.html", context)


@administrators_only
@require_safe
def report(request: UserRequest) -> HttpResponse:
    form, period = _period(request)
    found = usage.report(period)
    lines = _lines(request, found.people)
    page = Paginator(lines, ROWS).get_page(request.GET.get("page"))
    context = {
        "form": form,
        "period": period,
        "last_day": period.until - timedelta(seconds=1),
        "page": page,
        "lines": _with_people(page.object_list),
        "total": found.total,
        "people": len(found.people),
        "sort": request.GET.get("sort", FIRST),
        "q": _text(request),
        "query": query_without(request, "page"),
        "filters": query_without(request, "page", "sort"),
    }
    return render(request, "vms/usage_report.html", context)


@administrators_only
@require_safe
def table(request: UserRequest) -> StreamingHttpResponse:
    """The same report, all of it, as CSV."""
    _, period = _period(request)
    name = f"usage-{period.since:%Y-%m-%d}-to-{period.until - timedelta(seconds=1):%Y-%m-%d}"
    found = usage.report(period)
    return csv_answer(request, name, _table(_lines(request, found.people), period))


HEAD = (
    "user name", "name", "e-mail address", "from", "until", "machines", "machine hours",
    "vCPU hours", "memory GiB hours", "disk GiB hours", "persistent disk GiB hours",
)  # fmt: skip


def _table(lines: Sequence[tuple[int, Used]], period: Period) -> Iterator[Sequence[object]]:
    yield HEAD
    begin, end = period.since.isoformat(), period.until.isoformat()
    for start in range(0, len(lines), ROWS * 10):
        for person, used in _with_people(lines[start : start + ROWS * 10]):
            yield (
                person.username, person.get_full_name(), person.email, begin, end, used.machines,
                *(f"{hours:.3f}" for hours in (used.machine_hours, used.vcpu_hours,
                                               used.memory_gib_hours, used.disk_gib_hours,
                                               used.kept_gib_hours)),
            )  # fmt: skip


def _lines(request: UserRequest, people: dict[int, Used]) -> list[tuple[int, Used]]:
    """Who is asked for, in the order that is asked for."""
    lines = list(people.items())
    if text := _text(request):
        found = set(User.objects.visible_to(request.user).search(text).values_list("pk", flat=True))
        lines = [line for line in lines if line[0] in found]
    sort = request.GET.get("sort", FIRST)
    word = sort.lstrip("-")
    figure = SORTS.get(word, SORTS[FIRST.lstrip("-")])
    is_down = sort.startswith("-") or word not in SORTS
    return sorted(lines, key=lambda line: (getattr(line[1], figure), line[0]), reverse=is_down)


def _with_people(lines: Any) -> list[Line]:
    people = User.objects.in_bulk([key for key, _ in lines])
    return [(people[key], used) for key, used in lines]


def _text(request: UserRequest) -> str:
    return names.one_line(request.GET.get("q", ""))[:100]


def _period(request: UserRequest) -> tuple[PeriodForm, Period]:
    """What is asked for: a month by its word, or two days, both of which count."""
    this, last = usage.months(2, until=timezone.now())
    form = PeriodForm(request.GET or None)
    if request.GET.get("period") == "last":
        return form, last
    if request.GET.get("period") != "days" or not form.is_valid():
        return form, this
    first, until = form.cleaned_data["first"], form.cleaned_data["until"]
    return form, Period(_midnight(first), _midnight(until + timedelta(days=1)))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
