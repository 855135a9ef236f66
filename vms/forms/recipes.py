"""A contextualization to be kept by name."""

from typing import Any

from django import forms

from core.errors import Refused
from registration.models import Group, User
from vms.forms.context import ContextFields, initial_of
from vms.models import Recipe


class RecipeForm(ContextFields):
    name = forms.CharField(max_length=60, error_messages={"required": "Give it a name."})
    description = forms.CharField(
        max_length=300, required=False, help_text="What a machine is after it, in a sentence."
    )
    group = forms.ModelChoiceField(
        Group.objects.none(),
        label="Shared with",
        required=False,
        empty_label="Nobody: it is yours alone",
        to_field_name="uuid",
        help_text="Everybody in the group can launch machines with it; only you can change it.",
    )

    def __init__(self, *args: Any, user: User, recipe: Recipe | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        groups = Group.objects.filter(memberships__user=user)
        self.fields["group"].queryset = groups  # type: ignore[attr-defined]
        self.fields["anyway"].label = "Save it all the same"
        if recipe:
            self.initial = {
                "name": recipe.name,
                "description": recipe.description,
                "group": recipe.group.uuid if recipe.group else None,
                **initial_of(recipe.told),
            }
        if not groups:
            del self.fields["group"]

    def refuse(self, refused: Refused) -> None:
        self.add_error(refused.field if refused.field in self.fields else None, str(refused))
