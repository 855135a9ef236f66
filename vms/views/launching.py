"""The launch page."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.datastructures import MultiValueDict
from django.views.decorators.http import require_http_methods

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration import actions as registration
from registration.doors import find_or_404, note_denial
from registration.models import User
from vms import actions
from vms.context import Context
from vms.forms import LaunchForm
from vms.models import VM, Batch, CloudStatus, InstanceType, Recipe
from vms.views import contexts
from vms.views.door import UserRequest
from vms.views.images import KEPT_DISKS, KEPT_RECIPE, about_image, source_of, uuid_or_404
from volumes import actions as volumes
from volumes.models import Volume


@require_http_methods(["GET", "HEAD", "POST"])
def launch(request: UserRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    source = source_of(request)
    if isinstance(source, HttpResponse):
        return source
    if again := _with_what_was_kept(request):
        return again
    status = CloudStatus.objects.filter(cloud=settings.DEFAULT_CLOUD).first()
    desk = contexts.desk_of(request)
    data, files = contexts.sent(request, desk)
    form = LaunchForm(
        data or None,
        files,
        user=request.user,
        entry=source.entry,
        root_disk=source.root_disk,
        disks=request.GET.getlist("disks"),
        buses=status.disk_buses if status else [],
        context=_recipe(request),
    )
    if contexts.is_judged(form, desk):
        made = _launch(request, form)
        if made:
            return redirect(made)
    for disk in Volume.objects.filter(uuid__in=form.offer.missing):
        note_denial(disk, "attach", request)
    context = _launch_context(request, form, status) | {"others": source.others, "desk": desk}
    is_refused = desk.refusal if desk and desk.is_open else form.is_bound
    return render(request, "vms/launch.html", context, status=UNPROCESSABLE if is_refused else 200)


def _recipe(request: UserRequest) -> Context | None:
    """The one that the address names; a 404 if this person does not see it."""
    key = request.GET.get("recipe", "")
    if not key or request.method == "POST":
        return None
    recipes = Recipe.objects.visible_to(request.user)
    return find_or_404(recipes, request, uuid=uuid_or_404(key)).told


def _with_what_was_kept(request: UserRequest) -> HttpResponse | None:
    """Once: the same address with the disks and the recipe that were chosen before the image."""
    if request.method == "POST":
        return None
    disks, recipe = (request.session.pop(name, None) for name in (KEPT_DISKS, KEPT_RECIPE))
    if not (disks or recipe):
        return None
    query = request.GET.copy()
    if disks:
        query.setlist("disks", [*query.getlist("disks"), *disks])
    if recipe:
        query.setdefault("recipe", recipe)
    return redirect(f"{request.path}?{query.urlencode()}")


def _launch(request: UserRequest, form: LaunchForm) -> VM | Batch | None:
    """The machine or the batch that the form asks for, or None with the refusal on the form."""
    try:
        extra = _keep_key(request.user, form.cleaned_data["new_key"])
        made = _launch_all(request.user, form.orders(extra_keys=extra), form)
    except Refused as refused:
        if refused.code == "key_private":  # it must not come back in the page
            answers = MultiValueDict(form.data)
            answers["new_key"] = ""
            form.data = answers
        form.add_error(refused.field if refused.field in form.fields else None, str(refused))
        return None
    if not (
        form.cleaned_data["keys"]
        or extra
        or form.cleaned_data["without_key"]
        or form.cleaned_data["extra_keys"]
    ):
        messages.info(request, "No key was chosen, so your default SSH key was added.")
    return made


def _launch_all(owner: User, orders: Sequence[actions.Order], form: LaunchForm) -> VM | Batch:
    if len(orders) == 1:
        return actions.launch(owner=owner, order=orders[0])
    data = form.cleaned_data
    return actions.launch_many(
        owner=owner, orders=orders, name=data["name"], key=data["launch_key"]
    )


def _keep_key(owner: User, line: str) -> list[str]:
    if not line.strip():
        return []
    try:
        return [registration.find_or_add_key(owner=owner, text=line).public_key]
    except Refused as refused:
        raise Refused(refused.code, str(refused), field="new_key") from None


def _launch_context(
    request: UserRequest, form: LaunchForm, status: CloudStatus | None
) -> dict[str, Any]:
    use = actions.machine_use(request.user)
    sizes = []
    for size in InstanceType.objects.offered_to(request.user):
        refusal = actions.over_quota(use, size)
        reason = (
            actions.too_small(form.entry, size)
            or actions.too_large(status, size)
            or (str(refusal) if refusal else "")
        )
        sizes.append({"type": size, "reason": reason})
    return {
        "form": form,
        "entry": form.entry,
        **about_image(form.entry, request.user),
        "root_disk": form.root_disk,
        "root_reason": _why_not_from(form.root_disk, request.user),
        "disk_groups": form.offer.groups(),
        "closed_disks": form.offer.closed(),
        "sizes": sizes,
        "chosen_size": _chosen_size(form, sizes),
        "quota": use,
        "status": status,
        "has_keys": request.user.ssh_keys.exists(),
        "look": contexts.look_of(form, request.user, form.entry),
        "recipes": Recipe.objects.visible_to(request.user).select_related("group"),
        "any_fits": any(not size["reason"] for size in sizes),
    }


def _why_not_from(disk: Volume | None, user: User) -> str:
    """Why a machine cannot boot from this disk now, or ""."""
    if disk is None:
        return ""
    standing = volumes.standings([disk], user)[disk.pk]
    return str(volumes.obstacle(disk, standing, by=user, read_only=False, is_root=True) or "")


def _chosen_size(form: LaunchForm, sizes: list[dict[str, Any]]) -> str:
    """The size that is ticked: what was asked for if it fits, else the first that does."""
    fitting = [size["type"].name for size in sizes if not size["reason"]]
    asked = str(form["type_name"].value() or "")
    return asked if asked in fitting else next(iter(fitting), "")
