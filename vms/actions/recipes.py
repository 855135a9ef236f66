"""Contextualizations that people keep by name."""

from django.db import IntegrityError, transaction

from core.errors import Refused
from core.models import deny, record
from registration.models import Group, Membership, User
from vms.actions.telling import must_be_understood
from vms.context import Context, as_json
from vms.models import Recipe

#: Of one person.
MOST_RECIPES = 100


def save_recipe(
    *, by: User, name: str, description: str, context: Context, group: Group | None = None,
    recipe: Recipe | None = None,
) -> Recipe:  # fmt: skip
    """Keep a contextualization: a new recipe, or ``recipe`` changed.

    Raises: Refused: ``recipe_owner``, ``recipe_name``, ``recipe_empty``, ``recipe_group``,
        ``recipe_count``, ``context_invalid``.
    """
    name = " ".join(name.split())
    _must_be_savable(by, name, context, group)
    row = recipe or Recipe(owner=by)
    _must_be_theirs(row, by, "recipe_changed")
    row.name, row.description, row.group = name, description.strip(), group
    row.method, row.context = str(context.method), as_json(context)
    try:
        with transaction.atomic():
            User.objects.select_for_update(no_key=True).get(pk=by.pk)
            if recipe is None and Recipe.objects.filter(owner=by).count() >= MOST_RECIPES:
                sentence = f"You have {MOST_RECIPES} recipes, which is the limit. Delete one first."
                raise Refused("recipe_count", sentence)
            row.save()
            verb = "recipe_changed" if recipe else "recipe_saved"
            _tell(row, verb, by)
    except IntegrityError:
        sentence = f"You have a recipe called “{name}” already. Choose another name."
        raise Refused("recipe_name", sentence, field="name") from None
    return row


def delete_recipe(recipe: Recipe, *, by: User) -> None:
    """Machines that were launched with it keep what they were told.

    Raises: Refused: ``recipe_owner``.
    """
    _must_be_theirs(recipe, by, "recipe_deleted")
    with transaction.atomic():
        _tell(recipe, "recipe_deleted", by)
        recipe.delete()


def _must_be_savable(by: User, name: str, context: Context, group: Group | None) -> None:
    if not name or not name.isprintable() or len(name) > 60:
        sentence = "A recipe has a name of 60 characters at most, without control characters."
        raise Refused("recipe_name", sentence, field="name")
    if not context:
        sentence = "There is nothing in it: add a part, a pair or literal user data."
        raise Refused("recipe_empty", sentence)
    if group and not Membership.objects.filter(user=by, group=group).exists():
        raise Refused("recipe_group", "You are not in this group.", field="group")
    must_be_understood(context, ())


def _must_be_theirs(recipe: Recipe, by: User, verb: str) -> None:
    if recipe.owner_id == by.pk:
        return
    sentence = "This recipe is not yours. Save a copy of it, and change that."
    deny("recipe", recipe.uuid, verb, by=by, owner=recipe.owner_id, label=str(recipe))
    raise Refused("recipe_owner", sentence)


def _tell(recipe: Recipe, verb: str, by: User) -> None:
    group = str(recipe.group) if recipe.group else ""
    record("recipe", recipe.uuid, verb, by=by, owner=recipe.owner_id, label=str(recipe),
           group=group)  # fmt: skip
