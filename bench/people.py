"""Pages about people on a site that has thousands: the queue, the users, the audit."""

from io import StringIO

from django.core.management import call_command
from django.urls import reverse

from bench.figures import Figure, Section, p95, table
from bench.pages import Cost, ask
from registration.models import User
from tests.running import RunningPortal

FEW, MANY = 50, 5000
MACHINES = 500
HOW = f"""`manage.py seed_demo --users {MANY}` fills the running portal with so many people, a
tenth of them waiting, and {MACHINES} machines. An administrator asks for the pages in turn, as
under *Pages of a full portal*."""


def measure(portal: RunningPortal) -> Section:
    costs: dict[int, dict[str, Cost]] = {}
    for users in (FEW, MANY):
        seed = {"machines": MACHINES, "entries": 20, "users": users}
        call_command("seed_demo", stdout=StringIO(), **seed)
        costs[users] = ask(portal, User.objects.administrators()[0], _paths())
    call_command("seed_demo", clean=True, stdout=StringIO())
    return _section(costs)


def _paths() -> dict[str, str]:
    queue, users = reverse("registration:queue"), reverse("vms:people")
    person = User.objects.waiting().order_by("pk").first()
    assert person
    return {
        "queue": queue,
        "queue, waiting": f"{queue}?state=confirmed",
        "queue, searched": f"{queue}?q=garnier",
        "queue, last page": f"{queue}?page=9999",
        "users": users,
        "users, searched": f"{users}?q=garnier",
        "users, last page": f"{users}?page=9999",
        "one user": reverse("vms:person", args=[person.uuid]),
        "wishes": reverse("registration:wishes"),
        "audit": reverse("audit"),
        "usage report": reverse("vms:usage_report"),
    }


def _section(costs: dict[int, dict[str, Cost]]) -> Section:
    growing = [page for page in costs[FEW] if costs[FEW][page].queries != costs[MANY][page].queries]
    worst = {
        name: max(p95(cost.took_ms) for page, cost in costs[MANY].items() if page.startswith(name))
        for name in ("queue", "users")
    }
    return Section(
        title=f"Pages about people, of {MANY:,}",
        how=HOW,
        figures=[
            Figure("queue, the slowest look, server time p95", worst["queue"], "ms", 150),
            Figure("list of users, the slowest look, server time p95", worst["users"], "ms", 150),
            Figure("pages whose number of queries grows with the people", len(growing), "", 0),
        ],
        detail=_table(costs),
    )


def _table(costs: dict[int, dict[str, Cost]]) -> str:
    head = ["page", "queries", *(f"{users:,}: p95 ms (median; CPU)" for users in costs)]
    rows = []
    for page in costs[FEW]:
        each = [found[page] for found in costs.values()]
        queries = "/".join(str(n) for n in dict.fromkeys(cost.queries for cost in each))
        rows.append([page, queries, *(cost.in_words() for cost in each)])
    return table(head, rows)
