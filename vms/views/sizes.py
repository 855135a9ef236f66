"""The sizes that the site offers, and people's own."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration import actions as registration
from registration.doors import administrators_only
from vms import actions
from vms.forms import InstanceTypeForm, OwnTypeForm
from vms.models import InstanceType
from vms.views.door import UserRequest


@login_required
@require_safe
def types(request: UserRequest) -> HttpResponse:
    """Every size; administrators can change them."""
    sizes = InstanceType.objects.of_site()
    context = {
        "types": sizes if request.user.is_staff else sizes.filter(is_offered=True),
        "own_types": InstanceType.objects.filter(owner=request.user),
        "most_own": actions.MOST_OWN_SIZES,
    }
    return render(request, "vms/types.html", context)


@login_required
@require_POST
def prefer_type(request: UserRequest, name: str) -> HttpResponse:
    """Make a size the one that this person's launches start from."""
    size = get_object_or_404(InstanceType.objects.offered_to(request.user), name=name)
    registration.choose_instance_type(request.user, name=size.name)
    messages.success(request, f"Your launches start from {size.name} now.")
    return redirect("vms:types")


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def edit_type(request: UserRequest, name: str = "") -> HttpResponse:
    site = InstanceType.objects.of_site()
    known = get_object_or_404(site, name=name) if name else InstanceType()
    form = InstanceTypeForm(request.POST or None, instance=known)
    if form.is_valid():
        actions.save_type(form.save(commit=False), by=request.user)
        messages.success(request, f"Size {form.instance.name} saved.")
        return redirect("vms:types")
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "vms/type.html", {"form": form, "known": known}, status=status)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit_own_type(request: UserRequest, name: str = "") -> HttpResponse:
    """A size of one's own: a new one, or a change of one."""
    own = InstanceType.objects.filter(owner=request.user)
    known = get_object_or_404(own, name=name) if name else InstanceType()
    form = OwnTypeForm(request.POST or None, instance=known)
    if form.is_valid():
        try:
            actions.save_own_type(form.save(commit=False), owner=request.user)
        except Refused as refused:
            form.add_error(refused.field, str(refused))
        else:
            messages.success(request, f"Size {form.instance.name} saved.")
            return redirect("vms:types")
    status = UNPROCESSABLE if form.is_bound else 200
    context = {"form": form, "known": known, "name": name, "is_own": True}
    return render(request, "vms/type.html", context, status=status)


@login_required
@require_POST
def delete_own_type(request: UserRequest, name: str) -> HttpResponse:
    size = get_object_or_404(InstanceType, owner=request.user, name=name)
    actions.delete_own_type(size, by=request.user)
    messages.success(request, f"Size {name} deleted. Machines keep the size that they have.")
    return redirect("vms:types")
