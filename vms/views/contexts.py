"""What a guest is told: looked at before the launch, downloaded, and shown of a machine."""

import io
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from cloud import seeds
from cloud.types import ContextMethod, VmSpec
from core.errors import Refused
from core.http import UNPROCESSABLE
from marketplace.models import Entry
from registration.models import SshKey, User
from vms import actions, seeding
from vms.context import (
    LARGEST_PACKED_BYTES,
    SCRIPT,
    Context,
    Level,
    check,
    cloud_init_txt,
    packed_bytes,
    read_pairs,
    user_data,
)
from vms.context.guests import advice
from vms.forms.context import ContextFields, ExtraKeysField, said
from vms.forms.desk import Desk
from vms.models import VM, Recipe
from vms.views.door import UserRequest, find

#: In a preview: the portal gives it at the launch.
_NO_TOKEN = "00000000-0000-0000-0000-000000000000"  # noqa: S105  (names a machine, opens none)


@dataclass(frozen=True, slots=True)
class Line:
    level: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Look:
    """What ``vms/_context_check.html`` shows."""

    lines: Sequence[Line] = ()
    packed: int = 0
    most: int = LARGEST_PACKED_BYTES
    files: Sequence[tuple[str, str]] = ()
    label: str = ""
    keys: int = 0
    must_confirm: bool = False
    is_sendable: bool = True
    advice: str = ""
    exchange: bool = field(default=True)  # whether there is a cloud-init.txt of it

    @property
    def is_over(self) -> bool:
        return self.packed > self.most


class _Answers(ContextFields):
    """Of a form that is not sent yet: as much of it as this page needs."""

    keys = forms.ModelMultipleChoiceField(SshKey.objects.none(), required=False)
    new_key = ExtraKeysField(required=False)
    extra_keys = ExtraKeysField(required=False)
    without_key = forms.BooleanField(required=False)
    name = forms.CharField(required=False)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.owner = user
        self.fields["keys"].queryset = SshKey.objects.filter(owner=user)  # type: ignore[attr-defined]

    def public_keys(self) -> list[str]:
        data = self.cleaned_data
        chosen = [key.public_key for key in data.get("keys", ())]
        chosen += [*data.get("extra_keys", ()), *data.get("new_key", ())]
        if chosen or data.get("without_key"):
            return list(dict.fromkeys(chosen))
        default = SshKey.objects.filter(owner=self.owner, is_default=True)
        return [key.public_key for key in default]


def look_at(answers: _Answers, entry: Entry | None) -> Look:
    """What is wrong with what was filled in, how large it is, and what the guest gets of it."""
    answers.is_valid()
    told = answers.told()
    unread = [Line("error", str(sentence)) for name in ("pairs", "parts", "new_key", "extra_keys")
              for sentence in answers.errors.get(name, ())]  # fmt: skip
    keys = answers.public_keys()
    return look(told, keys, entry, name=answers.cleaned_data.get("name", ""), unread=unread)


def look(
    told: Context, keys: Sequence[str], entry: Entry | None, *, name: str = "",
    unread: Sequence[Line] = (),
) -> Look:  # fmt: skip
    problems = check(told)
    lines = [Line(str(problem.level), said(problem, told)) for problem in problems]
    lines += [line for line in unread if line not in lines]
    is_bad = any(problem.level is Level.ERROR for problem in problems)
    hint = ""
    if entry:
        hint = advice(entry.os, entry.os_version, title=entry.title, has_parts=bool(told.parts))
    if any(problem.code == "not_text" for problem in problems):
        return Look(lines, is_sendable=False, advice=hint)
    spec = seeding.draft(told, keys, name)
    return Look(
        lines=sorted(lines, key=lambda line: list(Level).index(Level(line.level))),
        packed=packed_bytes(user_data(told)),
        files=() if is_bad or unread else _shown(spec, _NO_TOKEN),
        label=seeds.label(spec),
        keys=len(keys),
        must_confirm=any(problem.level is Level.WARNING for problem in problems),
        is_sendable=not (is_bad or unread),
        advice=hint,
        exchange=told.method == "cloud-init",
    )


def _shown(spec: VmSpec, token: str) -> list[tuple[str, str]]:
    return [
        (name, data.decode(errors="replace"))
        for name, data in seeds.files(spec, token=token).items()
    ]


def answers_of(request: UserRequest) -> _Answers:
    return _Answers(request.POST, request.FILES, user=request.user)


def _entry(request: UserRequest) -> Entry | None:
    key = request.POST.get("entry", "")
    try:
        return Entry.objects.visible_to(request.user).filter(uuid=uuid.UUID(key)).first()
    except ValueError:
        return None


def look_of(form: ContextFields, user: User, entry: Entry | None = None) -> Look:
    """Of a form that is shown: as it begins, or as it was filled in."""
    if form.is_bound:
        return look_at(_Answers(form.data, form.files, user=user), entry)
    answers = _Answers({}, user=user)
    answers.is_valid()
    told = _initially(form) if "parts" in form.initial else Context()
    return look(told, answers.public_keys(), entry)


def _initially(form: ContextFields) -> Context:
    first = form.initial
    pairs = read_pairs(first["pairs"])
    if line := first["script_exec"]:
        pairs = (*pairs, (SCRIPT, line))
    return Context(
        method=ContextMethod(first["context_method"]),
        parts=tuple(first["parts"]), pairs=pairs, literal=first["user_data"],
    )  # fmt: skip


def desk_of(request: UserRequest) -> Desk | None:
    """What was done to a form that is being filled in; None where it was sent as it is."""
    what = request.POST.get("context_do", "")
    if not what and not request.FILES:
        return None
    desk = Desk(request.POST, request.FILES)
    desk.is_open = bool(what)
    if what == "recipe":
        _use_recipe(request, desk)
    desk.do(what or ("open" if "context_file" in request.FILES else ""))
    if what == "save":
        _save_recipe(request, desk)
    return desk


def _use_recipe(request: UserRequest, desk: Desk) -> None:
    recipes = Recipe.objects.visible_to(request.user)
    try:
        recipe = recipes.filter(uuid=uuid.UUID(request.POST.get("recipe", ""))).first()
    except ValueError:
        recipe = None
    if recipe is None:
        desk.refusal = "Choose a recipe first."
        return
    desk.add(recipe.told)
    desk.said = f"The recipe {recipe} is in the form."


def _save_recipe(request: UserRequest, desk: Desk) -> None:
    answers = _Answers(desk.data, user=request.user)
    found = look_at(answers, None)
    wrong = [line.sentence for line in found.lines if line.level == "error"]
    try:
        if wrong:
            raise Refused("context_invalid", wrong[0])
        recipe = actions.save_recipe(
            by=request.user, name=request.POST.get("recipe_name", ""),
            description=request.POST.get("recipe_description", "")[:300], context=answers.told(),
        )  # fmt: skip
    except Refused as refused:
        desk.refusal = str(refused)
        return
    desk.said = f"The recipe {recipe} is saved."
    desk.data["recipe_name"] = desk.data["recipe_description"] = ""


def sent(request: UserRequest, desk: Desk | None) -> tuple[Any, Any]:
    """Data and files for a form."""
    if desk:
        return desk.data, None  # the files are in the data by now
    return (request.POST, request.FILES) if request.method == "POST" else (None, None)


def is_judged(form: ContextFields, desk: Desk | None) -> bool:
    """Whether the form was sent, and is valid; one that is being filled in is not judged."""
    if desk and desk.is_open:
        form.unsent()
        return False
    is_valid = form.is_valid()
    if desk and desk.refusal:
        form.add_error("parts", desk.refusal)
        return False
    return is_valid


@login_required
@require_POST
def look_on(request: UserRequest) -> HttpResponse:
    """The size, the problems and a preview of what was filled in so far."""
    found = look_at(answers_of(request), _entry(request))
    return render(request, "vms/_context_check.html", {"look": found})


@login_required
@require_POST
def exchange(request: UserRequest) -> HttpResponse:
    """The ``cloud-init.txt`` of what was filled in."""
    answers = answers_of(request)
    found = look_at(answers, _entry(request))
    if not found.is_sendable:
        return render(
            request, "vms/context_refused.html", {"look": found}, status=UNPROCESSABLE
        )  # fmt: skip
    text = cloud_init_txt(answers.told(), answers.public_keys())
    return _download("cloud-init.txt", text.encode())


@login_required
@require_safe
def seed(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """What the machine finds on the medium that tells it about itself; ``?file=`` is one of it."""
    vm = find(request, key)
    spec, hidden = seeding.spec_to_show(vm)
    name = request.GET.get("file", "")
    if not name:
        files = _shown(spec, vm.token)
        context = {
            "vm": vm, "files": files, "label": seeds.label(spec), "hidden": hidden,
            "is_exchanged": vm.context_method == "cloud-init",
        }  # fmt: skip
        return render(request, "vms/seed.html", context)
    return _file(vm, spec, name)


def _file(vm: VM, spec: VmSpec, name: str) -> HttpResponse:
    if name == "cloud-init.txt":
        return _download(name, cloud_init_txt(vm.told, spec.ssh_keys).encode())
    if name == "seed.iso":
        return _download(f"{vm.hostname}-seed.iso", seeding.medium(spec, vm.token))
    files = seeds.files(spec, token=vm.token)
    if name not in files:
        raise Http404
    return _download(name, files[name])


def _download(name: str, data: bytes) -> HttpResponse:
    answer = FileResponse(
        io.BytesIO(data), as_attachment=True, filename=name,
        content_type="application/octet-stream",
    )  # fmt: skip
    answer["Cache-Control"] = "no-store"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer  # type: ignore[return-value]
