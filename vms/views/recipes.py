"""The library of contextualizations."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration.doors import find_or_404
from vms import actions
from vms.forms.recipes import RecipeForm
from vms.models import Recipe
from vms.views import contexts
from vms.views.door import UserRequest


def _visible(request: UserRequest) -> QuerySet[Recipe]:
    return Recipe.objects.visible_to(request.user).select_related("owner", "group")


def _find(request: UserRequest, key: uuid.UUID, verb: str = "") -> Recipe:
    return find_or_404(_visible(request), request, verb, uuid=key)


@login_required
@require_safe
def index(request: UserRequest) -> HttpResponse:
    recipes = list(_visible(request))
    own = [recipe for recipe in recipes if recipe.owner_id == request.user.pk]
    shared = [one for one in recipes if one.owner_id not in (None, request.user.pk)]
    groups = (
        ("Yours", own), ("Shared with you", shared),
        ("Supplied", [recipe for recipe in recipes if recipe.owner_id is None]),
    )  # fmt: skip
    return render(request, "vms/recipes.html", {"groups": groups})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: UserRequest) -> HttpResponse:
    """An empty one, or with ``?from=`` a copy."""
    key = request.GET.get("from", "")
    source = None
    if key:
        try:
            source = _find(request, uuid.UUID(key))
        except ValueError:
            return redirect("vms:new_recipe")
        source = Recipe(
            name=f"{source.name[:50]} (copy)", description=source.description,
            method=source.method, context=source.context,
        )  # fmt: skip
    return _edit(request, None, source)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def detail(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    recipe = _find(request, key)
    if recipe.owner_id == request.user.pk:
        return _edit(request, recipe, recipe)
    if request.method == "POST":
        try:
            actions.save_recipe(by=request.user, name=recipe.name, description="",
                                context=recipe.told, recipe=recipe)  # fmt: skip
        except Refused as refused:
            messages.error(request, str(refused))
        return redirect(recipe)
    context = {"recipe": recipe, "look": contexts.look(recipe.told, (), None), "told": recipe.told}
    return render(request, "vms/recipe_shown.html", context)


def _edit(request: UserRequest, recipe: Recipe | None, shown: Recipe | None) -> HttpResponse:
    desk = contexts.desk_of(request)
    data, files = contexts.sent(request, desk)
    form = RecipeForm(data, files, user=request.user, recipe=shown)
    if contexts.is_judged(form, desk):
        try:
            saved = _save(request, form, recipe)
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, f"The recipe {saved} is saved.")
            return redirect(saved)
    context: dict[str, Any] = {
        "form": form, "recipe": recipe, "look": contexts.look_of(form, request.user),
        "recipes": _visible(request), "desk": desk,
    }  # fmt: skip
    status = UNPROCESSABLE if form.errors or (desk and desk.refusal) else 200
    return render(request, "vms/recipe.html", context, status=status)


def _save(request: UserRequest, form: RecipeForm, recipe: Recipe | None) -> Recipe:
    data = form.cleaned_data
    return actions.save_recipe(
        by=request.user, name=data["name"], description=data["description"],
        context=form.told(), group=data.get("group"), recipe=recipe,
    )  # fmt: skip


@login_required
@require_POST
def delete(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    recipe = _find(request, key, "recipe_deleted")
    try:
        actions.delete_recipe(recipe, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect(recipe)
    messages.success(request, f"The recipe {recipe} is deleted.")
    return redirect("vms:recipes")
