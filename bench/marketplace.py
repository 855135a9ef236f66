"""The catalogue, with few entries and with twenty thousand: facets and searches."""

import statistics
from io import StringIO

from django.core.management import call_command
from django.http import QueryDict
from django.urls import reverse

from bench.figures import Figure, Section, p95, table
from bench.pages import Cost, ask
from marketplace.models import Entry
from marketplace.search.asked import Asked
from marketplace.search.finding import find
from registration.models import User
from tests.running import RunningPortal

FEW, MANY = 200, 20_000
LIMIT_MS = 80
HOW = """`manage.py seed_demo --entries` fills the running portal's catalogue. Its pages are asked
for by an administrator, who sees every entry, as under *Pages of a full portal*. *Server time* is
from sending the question to the last byte; every page counts the values of all facets.
*Broad* searches find most of the catalogue, *mistyped* ones nothing until they are corrected."""
#: Name: query of the page.
QUERIES = {
    "all": "",
    "a system": "os=Debian",
    "three filters": "os=Debian&os=Ubuntu&arch=x86_64&kind=machine",
    "any status": "status=all",
    "on disks of sites": "location=pdisk",
    "a tag": "tag=gaia-catalogue",
    "part of an address": "email=ada",
    "search": "q=jupyterlab",
    "search, three words": "q=ubuntu+jupyterlab+cloud-init",
    "search and filters": "q=blast&os=Debian&status=all",
    "search, broad": "q=x86_64",
    "search in descriptions": "description=cluster",
    "mistyped": "q=debain+jupiterlab",
    "nothing to be found": "q=zzzzzz",
    "by system": "sort=os",
    "by endorser, as a table": "sort=endorser&view=table",
    "last page": "page=1000000",
}

#: Entries: page: what it took, or how many it finds.
Costs = dict[int, dict[str, Cost]]
Hits = dict[int, dict[str, int]]


def measure(portal: RunningPortal) -> Section:
    costs, hits = {}, {}
    administrator = User.objects.administrators()[0]
    for entries in (FEW, MANY):
        call_command("seed_demo", machines=0, entries=entries, stdout=StringIO())
        costs[entries] = ask(portal, administrator, _paths())
        hits[entries] = {name: _hits(query, administrator) for name, query in QUERIES.items()}
    call_command("seed_demo", clean=True, stdout=StringIO())
    return _section(costs, hits)


def _paths() -> dict[str, str]:
    home = reverse("marketplace:catalogue")
    pages = {name: f"{home}?{query}" if query else home for name, query in QUERIES.items()}
    lists = reverse("marketplace:metadata")
    table_of = "media=json&iDisplayStart=0&iDisplayLength=25&iSortCol_0=6"
    return pages | {
        "entry": Entry.objects.launchable()[0].permalink,
        "DataTables": f"{lists}?{table_of}",
        "DataTables, searched": f"{lists}?{table_of}&sSearch=debian+slurm",
        "API": f"{reverse('api:entries')}?q=debian",
        "home": reverse("home"),
    }


def _hits(query: str, user: User) -> int:
    return find(Asked.of(QueryDict(query)), user, size=1).counts.total


def _section(costs: Costs, hits: Hits) -> Section:
    many = costs[MANY]
    # Where nothing is found, no entry is fetched: that is compared with its like.
    growing = [
        page
        for page in many
        if costs[FEW][page].queries != many[page].queries
        and bool(hits[FEW].get(page)) == bool(hits[MANY].get(page))
    ]
    everything = [took for page in QUERIES for took in many[page].took_ms]
    slowest = max(QUERIES, key=lambda page: p95(many[page].took_ms))
    return Section(
        title="The catalogue",
        how=HOW,
        figures=[
            Figure(f"pages of {MANY:,} entries with facets, server time p95", p95(everything),
                   "ms", LIMIT_MS),
            Figure(f"the slowest of them, “{slowest}”, p95", p95(many[slowest].took_ms), "ms"),
            Figure("the first page, median", statistics.median(many["all"].took_ms), "ms"),
            Figure("pages whose number of queries grows with the entries", len(growing), "", 0),
        ],
        detail=_table(costs, hits),
    )  # fmt: skip


def _table(costs: Costs, hits: Hits) -> str:
    head = ["page", "hits", "queries", *(f"{n:,}: p95 ms (median; CPU)" for n in costs)]
    rows = []
    for page in costs[FEW]:
        each = [found[page] for found in costs.values()]
        queries = "/".join(str(n) for n in dict.fromkeys(cost.queries for cost in each))
        rows.append([page, hits[MANY].get(page, ""), queries, *(cost.in_words() for cost in each)])
    return table(head, rows)
