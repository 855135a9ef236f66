"""The sizes that the site offers."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.http import UNPROCESSABLE
from registration import actions as registration
from registration.doors import administrators_only
from vms import actions
from vms.forms import InstanceTypeForm
from vms.models import InstanceType
from vms.views.door import UserRequest


@login_required
@require_safe
def types(request: UserRequest) -> HttpResponse:
    """Every size; administrators can change them."""
    sizes = InstanceType.objects.all() if request.user.is_staff else (
        InstanceType.objects.filter(is_offered=True)
    )  # fmt: skip
    return render(request, "vms/types.html", {"types": sizes})


@login_required
@require_POST
def prefer_type(request: UserRequest, name: str) -> HttpResponse:
    """Make a size the one that this person's launches start from."""
    size = get_object_or_404(InstanceType, name=name, is_offered=True)
    registration.choose_instance_type(request.user, name=size.name)
    messages.success(request, f"Your launches start from {size.name} now.")
    return redirect("vms:types")


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def edit_type(request: UserRequest, name: str = "") -> HttpResponse:
    known = get_object_or_404(InstanceType, name=name) if name else InstanceType()
    form = InstanceTypeForm(request.POST or None, instance=known)
    if form.is_valid():
        actions.save_type(form.save(commit=False), by=request.user)
        messages.success(request, f"Size {form.instance.name} saved.")
        return redirect("vms:types")
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "vms/type.html", {"form": form, "known": known}, status=status)
