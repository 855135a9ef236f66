"""The page where a table of machines is pasted, checked, corrected, and launched."""

import uuid
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE
from vms import actions, images
from vms.batches import tables
from vms.batches.tables import COLUMNS, Row, Unreadable
from vms.forms.tables import MOST_IMAGES, Table
from vms.models import Batch, InstanceType
from vms.views.door import UserRequest

_TYPES = {"csv": "text/csv; charset=utf-8", "yaml": "text/yaml; charset=utf-8"}


class TableForm(forms.Form):
    """What is said beside the table."""

    key = forms.UUIDField(widget=forms.HiddenInput)
    batch_name = forms.CharField(
        label="Name of the batch", max_length=80, required=False,
        help_text="Without one it is called like its first machine.",
    )  # fmt: skip
    all_or_nothing = forms.BooleanField(
        label="All or nothing", required=False,
        help_text="Without it, what can be launched is, and the rest is listed with its reasons.",
    )  # fmt: skip
    text = forms.CharField(
        label="Table", required=False, strip=False, max_length=tables.LARGEST_BYTES,
        widget=forms.Textarea(
            attrs={"rows": 10, "spellcheck": "false", "class": "font-monospace", "wrap": "off"}
        ),
    )  # fmt: skip
    file = forms.FileField(label="or a file", required=False)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: UserRequest) -> HttpResponse:
    """GET: an empty table. POST: read what was pasted, check it, or launch it (``do``)."""
    if request.method != "POST":
        form = TableForm(initial={"key": uuid.uuid4(), "all_or_nothing": True})
        return _page(request, form)
    form = TableForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, form, rows=_rows_sent(request), status=UNPROCESSABLE)
    if "name" not in request.POST:
        return _read(request, form)
    try:
        rows = tables.numbered(_rows_sent(request))
    except Unreadable as error:
        form.add_error(None, str(error))
        return _page(request, form, rows=_rows_sent(request), status=UNPROCESSABLE)
    table = _table(request, form, rows)
    if request.POST.get("do") != "launch":
        return _page(request, form, table=table, status=UNPROCESSABLE if table.wrong else 200)
    return _launch(request, form, table)


def _read(request: UserRequest, form: TableForm) -> HttpResponse:
    """What was pasted or uploaded, as a table that can be changed."""
    file = form.cleaned_data["file"]
    try:
        text = tables.decoded(file.read()) if file else form.cleaned_data["text"]
        rows = tables.read(text)
    except Unreadable as error:
        form.add_error("file" if file else "text", str(error))
        return _page(request, form, status=UNPROCESSABLE)
    table = _table(request, form, rows)
    return _page(request, form, table=table, status=UNPROCESSABLE if table.wrong else 200)


def _rows_sent(request: UserRequest) -> list[dict[str, str]]:
    columns = {name: request.POST.getlist(name) for name in COLUMNS}
    count = min(max(map(len, columns.values())), tables.MOST_ROWS + 50)
    return [
        {name: cells[at] if at < len(cells) else "" for name, cells in columns.items()}
        for at in range(count)
    ]


def _table(request: UserRequest, form: TableForm, rows: Sequence[Row]) -> Table:
    hosts = sorted(images.hosts(request))
    return Table(rows, owner=request.user, hosts=hosts, key=form.cleaned_data["key"])


def _launch(request: UserRequest, form: TableForm, table: Table) -> HttpResponse:
    data = form.cleaned_data
    known = Batch.objects.filter(owner=request.user, uuid=data["key"]).first()
    if known:  # sent twice: its disks are taken by now, by itself
        return redirect(known)
    if table.wrong and (data["all_or_nothing"] or not table.orders):
        form.add_error(None, "Nothing was launched: correct the rows that are marked, or leave "
                             "“All or nothing” and launch the others.")  # fmt: skip
        return _page(request, form, table=table, status=UNPROCESSABLE)
    try:
        batch = actions.launch_many(
            owner=request.user,
            orders=table.orders,
            name=data["batch_name"],
            key=data["key"],
            all_or_nothing=data["all_or_nothing"],
            left_out=table.left_out,
        )
    except Refused as refused:
        if isinstance(refused, actions.RowsRefused):
            table.note(refused)
        form.add_error("batch_name" if refused.code == "batch_name" else None, str(refused))
        return _page(request, form, table=table, status=UNPROCESSABLE)
    return redirect(batch)


def _page(
    request: UserRequest,
    form: TableForm,
    *,
    table: Table | None = None,
    rows: Sequence[dict[str, str]] = (),
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "form": form,
        "table": table,
        "raw_rows": rows,
        "columns": COLUMNS,
        "most_rows": tables.MOST_ROWS,
        "most_kib": tables.LARGEST_BYTES >> 10,
        "most_images": MOST_IMAGES,
    }
    if table is None and not rows:
        offered = InstanceType.objects.offered_to(request.user)
        context["types"] = list(offered.values_list("name", flat=True))
    return render(request, "vms/table.html", context, status=status)


@login_required
@require_safe
def template(request: UserRequest, ending: str) -> HttpResponse:
    """A table to begin with, to download."""
    if ending not in tables.TEMPLATES:
        raise Http404
    answer = HttpResponse(tables.TEMPLATES[ending], _TYPES[ending])
    answer["Content-Disposition"] = f'attachment; filename="machines.{ending}"'
    return answer
