"""Who did what: everything for administrators, their own for everybody else."""

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from core.models import Event
from registration.doors import UserRequest, administrators_only

EVENTS = 50


@administrators_only
@require_safe
def everything(request: UserRequest) -> HttpResponse:
    """Who did what, newest first, for administrators."""
    events = Event.objects.select_related("by").order_by("-pk")
    subject = request.GET.get("q", "").strip()[:80]
    if subject:
        events = events.filter(by__username__iexact=subject) | events.filter(
            subject__icontains=subject
        )
    page = Paginator(events, EVENTS).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    context = {"page": page, "q": subject, "query": query.urlencode()}
    return render(request, "portal/audit.html", context)
