"""Backups of machines, and the way back: from a backup, or from a file that somebody has."""

import uuid
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Prefetch, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE, is_fragment
from marketplace import actions as marketplace
from registration.doors import find_or_404
from vms.actions import backups
from vms.models import Backup
from vms.views.door import UserRequest, find
from volumes import actions as volumes
from volumes.models import BOOTABLE, DiskType, Origin, Snapshot, Volume
from volumes.states import ARRIVING, VolumeState

ROWS = 25
#: Disks that the guide names; the others are in the list of disks.
MOST_OFFERED = 20
#: On its way to be something that a machine boots from.
_COMING = frozenset({VolumeState.COPYING, VolumeState.SAVING, *ARRIVING})
_FROM_FILES = (Origin.UPLOADED, Origin.FETCHED)


class BackupForm(forms.Form):
    """What a backup is called, and which disks it has besides the root disk."""

    key = forms.UUIDField(widget=forms.HiddenInput)
    name = forms.CharField(max_length=backups.LONGEST_NAME)
    disks = forms.ModelMultipleChoiceField(
        Volume.objects.none(), required=False, widget=forms.CheckboxSelectMultiple,
        to_field_name="uuid", label="With the disks that are plugged in",
    )  # fmt: skip

    def __init__(self, *args: Any, own: list[Volume], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = Volume.objects.filter(pk__in=[disk.pk for disk in own])
        self.fields["disks"].queryset = known  # type: ignore[attr-defined]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def backup(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """Take a backup of a machine; and those that there are."""
    vm = find(request, key, verb="back_up" if request.method == "POST" else "")
    own, others = backups.backed_up_with(vm, by=request.user)
    initial = {
        "key": uuid.uuid4(),
        "name": f"{timezone.now():%Y-%m-%d %H:%M}",
        "disks": [disk.uuid for disk in own],
    }
    form = BackupForm(request.POST or None, own=own, initial=initial)
    if form.is_valid():
        try:
            made = backups.back_up(vm, by=request.user, **form.cleaned_data)
        except Refused as refused:
            form.add_error(refused.field if refused.field in form.fields else None, str(refused))
        else:
            return redirect(made)
    context = {
        "vm": vm,
        "form": form,
        "own": own,
        "others": others,
        "may": vm.owner_id == request.user.pk and vm.state in backups.TAKES and vm.cloud_ref,
        "backups": _seen(request).filter(vm=vm),
    }
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "vms/backup.html", context, status=status)


@login_required
@require_safe
def index(request: UserRequest) -> HttpResponse:
    """A person's backups, the newest first, of machines that are gone too."""
    page = Paginator(_seen(request), ROWS).get_page(request.GET.get("page"))
    return render(request, "vms/backups.html", {"page": page})


@login_required
@require_safe
def detail(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    made = _find(request, key)
    template = "vms/_backup_one.html" if is_fragment(request) else "vms/backup_one.html"
    first = backups.root_snapshot(made)
    context = {
        "backup": made,
        "root_snapshot": first,
        "others": [one for one in made.snapshots.all() if one != first],
        "is_own": made.owner_id == request.user.pk,
        "launch_key": uuid.uuid4(),
        "is_coming": made.root is not None and made.root.state in _COMING,
        "is_there": _is_there(made, first),
    }
    return render(request, template, context)


def _is_there(made: Backup, first: Snapshot | None) -> bool:
    """Whether a machine can be made of it now."""
    rows = list(made.snapshots.all())
    whole = all(one.state == "ready" for one in rows)
    root = first is not None or (made.root is not None and "copy" in made.root.verbs)
    return whole and root


@login_required
@require_POST
def delete(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    made = _find(request, key, verb="removed")
    try:
        backups.delete_backup(made, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect(made)
    messages.success(request, f"Backup {made.name} deleted. The copy of the root disk is in the "
                              "bin; the snapshots are removed for good.")  # fmt: skip
    return redirect("vms:backups")


@login_required
@require_POST
def launch(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """Copy its disks; the guide says when a machine can be launched from them."""
    made = _find(request, key, verb="copy")
    try:
        disks = backups.copy_backup(made, by=request.user, key=_key_sent(request))
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect(made)
    return redirect(_guide(disks.root, *disks.others))


@login_required
@require_POST
def image(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """Begin the metadata of an image that is the copy of the root disk."""
    made = _find(request, key, verb="published")
    if made.root is None:
        messages.error(request, "Its root disk is a snapshot: copy that to a disk first, then "
                                "publish the disk.")  # fmt: skip
        return redirect(made)
    try:
        draft = marketplace.draft_of_disk(
            made.root,
            by=request.user,
            create_key=_key_sent(request),
            fields={"title": f"{made.vm.name}, {made.name}"},
        )
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect(made)
    return redirect(draft)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def restore(request: UserRequest) -> HttpResponse:
    """The guide: where a machine can come from again; with ``disk``, how far that one is."""
    if request.method == "POST":
        return _make_bootable(request)
    if "disk" in request.GET:
        return _waiting(request)
    own = Volume.objects.filter(owner=request.user).listed().exclude(state=VolumeState.FAILED)
    files = own.filter(origin__in=_FROM_FILES).select_related("owner").order_by("-pk")
    context = {
        "backups": _seen(request).filter(owner=request.user)[:MOST_OFFERED],
        # A key is of one copy: two buttons with the same would make one disk.
        "disks": [(disk, _step(disk), uuid.uuid4()) for disk in files[:MOST_OFFERED]],
    }
    return render(request, "vms/restore.html", context)


def _step(disk: Volume) -> str:
    """What is to be done before a machine can start from it."""
    if disk.state != VolumeState.AVAILABLE:
        return "wait"
    if disk.type in BOOTABLE:
        return "copy" if disk.is_open_image else "launch"
    return "copy" if disk.type == DiskType.MACHINE_IMAGE_ORIGIN else "change"


def _make_bootable(request: UserRequest) -> HttpResponse:
    """An original is copied, what came as data becomes a machine's disk."""
    disk = _disks(request, [request.POST.get("disk", "")]).first()
    if disk is None:
        messages.error(request, "There is no such disk, or it is not yours.")
        return redirect("vms:restore")
    try:
        match _step(disk):
            case "copy":
                tag = volumes.tag_of(str(disk))
                key = _key_sent(request)
                disk = volumes.copy(disk, by=request.user, create_key=key, tag=tag)
            case "change":
                volumes.change(disk, by=request.user, type=DiskType.MACHINE_IMAGE_LIVE)
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect("vms:restore")
    return redirect(_guide(disk))


def _waiting(request: UserRequest) -> HttpResponse:
    root = _disks(request, [request.GET["disk"]]).first()
    if root is None:
        return redirect("vms:restore")
    others = list(_disks(request, request.GET.getlist("disks")))
    rows = [root, *others]
    keys = [("disk", root.token), *(("disks", disk.token) for disk in others)]
    context = {
        "rows": rows,
        "root": root,
        "are_there": all(disk.state == VolumeState.AVAILABLE for disk in rows),
        "failed": [disk for disk in rows if disk.state == VolumeState.FAILED],
        "launch_url": f"{reverse('vms:launch')}?{urlencode(keys)}",
        "here": request.get_full_path(),
    }
    template = "vms/_restoring.html" if is_fragment(request) else "vms/restoring.html"
    return render(request, template, context)


def _guide(root: Volume, *others: Volume) -> str:
    keys = [("disk", root.token), *(("disks", disk.token) for disk in others)]
    return f"{reverse('vms:restore')}?{urlencode(keys)}"


def _disks(request: UserRequest, words: list[str]) -> "QuerySet[Volume]":
    """Of one's own, those that are named."""
    found = []
    for word in words[: volumes.MOST_DISKS]:
        try:
            found.append(uuid.UUID(word))
        except ValueError:
            continue
    own = Volume.objects.filter(owner=request.user, uuid__in=found)
    return own.select_related("owner").order_by("pk")


def _key_sent(request: UserRequest) -> uuid.UUID:
    try:
        return uuid.UUID(request.POST.get("key", ""))
    except ValueError:
        return uuid.uuid4()


def _seen(request: UserRequest) -> Any:
    kept = Prefetch("snapshots", Snapshot.objects.select_related("volume").order_by("volume"))
    rows = Backup.objects.visible_to(request.user)
    return rows.select_related("vm", "root", "owner").prefetch_related(kept)


def _find(request: UserRequest, key: uuid.UUID, *, verb: str = "") -> Backup:
    made: Backup = find_or_404(_seen(request), request, verb, uuid=key)
    return made
