"""The launch page."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from core.errors import Refused
from core.http import UNPROCESSABLE
from marketplace.models import Entry
from registration import actions as registration
from registration.models import User
from vms import actions
from vms.forms import LaunchForm
from vms.models import VM, CloudStatus, InstanceType
from vms.views.door import UserRequest


@require_http_methods(["GET", "HEAD", "POST"])
def launch(request: UserRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    identifier = request.GET.get("image", "")
    if not identifier:
        messages.info(request, "Choose an image first.")
        return redirect("marketplace:catalogue")
    entry = (
        Entry.objects.visible_to(request.user).launchable().filter(identifier=identifier).first()
    )
    if entry is None:
        raise Http404
    status = CloudStatus.objects.filter(cloud=settings.DEFAULT_CLOUD).first()
    form = LaunchForm(
        request.POST or None,
        user=request.user,
        entry=entry,
        buses=status.disk_buses if status else [],
    )
    if form.is_valid():
        vm = _launch(request, form)
        if vm:
            return redirect(vm)
    context = _launch_context(request, form, entry, status)
    return render(
        request, "vms/launch.html", context, status=UNPROCESSABLE if form.is_bound else 200
    )


def _launch(request: UserRequest, form: LaunchForm) -> VM | None:
    """The machine that the form asks for, or None with the refusal on the form."""
    try:
        extra = _keep_key(request.user, form.cleaned_data["new_key"])
        vm = actions.launch(owner=request.user, order=form.order(extra_keys=extra))
    except Refused as refused:
        if refused.code == "key_private":  # it must not come back in the page
            answers = request.POST.copy()
            answers["new_key"] = ""
            form.data = answers
        form.add_error(refused.field if refused.field in form.fields else None, str(refused))
        return None
    if not (form.cleaned_data["keys"] or extra or form.cleaned_data["without_key"]):
        messages.info(request, "No key was chosen, so your default SSH key was added.")
    return vm


def _keep_key(owner: User, line: str) -> list[str]:
    if not line.strip():
        return []
    try:
        return [registration.find_or_add_key(owner=owner, text=line).public_key]
    except Refused as refused:
        raise Refused(refused.code, str(refused), field="new_key") from None


def _launch_context(
    request: UserRequest, form: LaunchForm, entry: Entry, status: CloudStatus | None
) -> dict[str, Any]:
    use = actions.machine_use(request.user)
    sizes = []
    for size in InstanceType.objects.filter(is_offered=True):
        refusal = actions.over_quota(use, size)
        reason = (
            actions.too_small(entry, size)
            or actions.too_large(status, size)
            or (str(refusal) if refusal else "")
        )
        sizes.append({"type": size, "reason": reason})
    return {
        "form": form,
        "entry": entry,
        "sizes": sizes,
        "chosen_size": _chosen_size(form, sizes),
        "quota": use,
        "status": status,
        "has_keys": request.user.ssh_keys.exists(),
        "any_fits": any(not size["reason"] for size in sizes),
    }


def _chosen_size(form: LaunchForm, sizes: list[dict[str, Any]]) -> str:
    """The size that is ticked: what was asked for if it fits, else the first that does."""
    fitting = [size["type"].name for size in sizes if not size["reason"]]
    asked = str(form["type_name"].value() or "")
    return asked if asked in fitting else next(iter(fitting), "")
