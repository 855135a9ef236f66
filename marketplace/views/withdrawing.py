"""A document that waits for its endorser is taken back by whoever sent it."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from core.errors import Refused
from marketplace.actions.withdrawing import withdraw_document
from marketplace.models import Draft, Pending
from registration.doors import UserRequest, find_or_404


@login_required
@require_POST
def withdraw(request: UserRequest, key: UUID) -> HttpResponse:
    """One's own alone; then back to its draft, if it came of one."""
    own = Pending.objects.filter(owner=request.user)
    pending: Pending = find_or_404(own, request, "withdrawn", uuid=key)
    try:
        withdraw_document(pending, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, "Taken back: the link in the mail publishes nothing any more.")
    draft = Draft.objects.filter(pending=pending, owner=request.user).first()
    return redirect(draft or "marketplace:upload")
