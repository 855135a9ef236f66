"""When a machine ends: set on its page."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from core.errors import Refused
from vms import actions
from vms.forms.leases import LeaseForm
from vms.views.door import UserRequest, find


@login_required
@require_POST
def set_lease(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """On a day that is chosen; with none, never."""
    vm = find(request, key, verb="lease_set")
    form = LeaseForm(request.POST)
    if not form.is_valid():
        messages.error(request, f"The end stays as it is. {form.errors['until'][0]}")
        return redirect(vm)
    try:
        actions.set_lease(vm, until=form.ends_at(), by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        ends = f"ends on {vm.expires_at:%-d %B %Y at %H:%M} UTC" if vm.expires_at else "has no end"
        messages.success(request, f"{vm} {ends} now.")
    return redirect(vm)
