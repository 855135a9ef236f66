"""Lists of machines to take away: of a batch, of a cluster, of a selection, of a search."""

import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, HttpResponseBase, QueryDict
from django.views.decorators.http import require_http_methods

from core.http import csv_answer
from vms.batches import exports
from vms.exporting import for_exports, listed
from vms.models import VM, VMQuerySet
from vms.views.door import UserRequest
from vms.views.listing import filtered


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def export(request: UserRequest) -> HttpResponseBase:
    """``format``, and ``batch``, ``cluster``, several ``vm``, or the filters of the list.

    Posted by the list, for what is ticked there; it changes nothing.
    """
    asked = request.POST if request.method == "POST" else request.GET
    form = exports.FORMATS.get(asked.get("format", ""))
    if form is None:
        raise Http404
    machines = [listed(vm) for vm in for_exports(_asked_for(request, asked)).order_by("pk")]
    if asked["format"] == "csv":
        return csv_answer(request, form.file.removesuffix(".csv"), exports.table(machines))
    answer = HttpResponse(exports.WRITERS[asked["format"]](machines), form.content_type)
    answer["Content-Disposition"] = f'attachment; filename="{form.file}"'
    answer["Cache-Control"] = "no-store"
    return answer


def _asked_for(request: UserRequest, asked: QueryDict) -> VMQuerySet:
    mine = VM.objects.visible_to(request.user)
    if keys := asked.getlist("vm"):
        return mine.filter(uuid__in=_uuids(keys))
    for group in ("batch", "cluster"):
        if keys := asked.getlist(group):
            return mine.filter(**{f"{group}__uuid__in": _uuids(keys)})
    return filtered(request.user, asked)


def _uuids(words: Sequence[Any]) -> list[uuid.UUID]:
    found: list[uuid.UUID] = []
    for word in words:
        with suppress(ValueError):
            found.append(uuid.UUID(word))
    return found
