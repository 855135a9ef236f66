"""Shut several machines down and make an image of each."""

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from core.errors import Refused
from core.http import UNPROCESSABLE
from vms.actions.saving import Image, save
from vms.forms.lists import UuidsField
from vms.models import VM
from vms.views.door import UserRequest

NAME = "{name}"


class SaveManyForm(forms.Form):
    """One answer for all; the title has each machine's name in it."""

    title = forms.CharField(
        label="Title of each image", max_length=200, initial=NAME,
        help_text=f"{NAME} stands for the name of the machine, such as “{NAME}, configured”.",
    )  # fmt: skip
    comment = forms.CharField(
        max_length=10_000, widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What is in the images: it becomes their description.",
    )  # fmt: skip
    author = forms.CharField(max_length=120)
    email = forms.EmailField(label="E-mail", max_length=254)
    version = forms.CharField(max_length=40, initial="1.0")

    def clean_title(self) -> str:
        title: str = self.cleaned_data["title"]
        if NAME not in title and self.data.get("many"):
            raise forms.ValidationError(
                f"Write {NAME} somewhere: else all images would have the same title."
            )
        return title

    def image_of(self, vm: VM) -> Image:
        said = self.cleaned_data
        return Image(
            title=said["title"].replace(NAME, vm.name)[:200],
            comment=said["comment"],
            author=said["author"],
            email=said["email"],
            version=said["version"],
        )


@login_required
@require_POST
def save_many(request: UserRequest) -> HttpResponse:
    """First the question, for what was ticked or for a ``batch``; then the answer (``do``)."""
    machines = _chosen(request)
    able = [vm for vm in machines if "save" in vm.verbs and vm.owner_id == request.user.pk]
    if not able:
        messages.error(request, "None of these can be shut down and saved now: machines of your "
                                "own that run, or are halted.")  # fmt: skip
        return redirect("vms:list")
    is_answer = request.POST.get("do") == "save"
    person = request.user
    initial = {"author": person.get_full_name() or person.username, "email": person.email}
    form = SaveManyForm(request.POST if is_answer else None, initial=initial)
    if form.is_valid():
        return _save(request, form, able)
    context: dict[str, Any] = {
        "form": form,
        "machines": able,
        "unable": [vm for vm in machines if vm not in able],
    }
    status = UNPROCESSABLE if is_answer else 200
    return render(request, "vms/save_many.html", context, status=status)


def _chosen(request: UserRequest) -> list[VM]:
    mine = VM.objects.visible_to(request.user).for_rows().order_by("pk")
    if batch := request.POST.get("batch", ""):
        try:
            return list(mine.filter(batch__uuid=uuid.UUID(batch)))
        except ValueError:
            return []
    field = UuidsField(coerce=uuid.UUID, required=False)
    try:
        return list(mine.filter(uuid__in=field.clean(request.POST.getlist("vm"))))
    except forms.ValidationError:
        return []


def _save(request: UserRequest, form: SaveManyForm, machines: list[VM]) -> HttpResponse:
    done = 0
    for vm in machines:
        try:
            save(vm, form.image_of(vm), by=request.user)
        except Refused as refused:
            messages.error(request, f"{vm}: {refused}")
        else:
            done += 1
    if done:
        plural = "" if done == 1 else "s"
        messages.success(
            request,
            f"Shut down and save: asked of {done} machine{plural}. A mail tells you of each image.",
        )
    return redirect("vms:list")
