"""Sizes: the site's, and a person's own."""

from typing import Any

from django import forms

from vms.models import InstanceType


class InstanceTypeForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = InstanceType
        fields = (
            "name", "description", "vcpus", "memory_mib", "swap_mib", "is_default", "is_offered",
        )  # fmt: skip

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name == "new":
            raise forms.ValidationError("“new” is taken by the page that makes sizes.")
        others = InstanceType.objects.of_site().exclude(pk=self.instance.pk)
        if others.filter(name=name).exists():
            raise forms.ValidationError(f"The site has a size {name} already.")
        return name

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("is_default") and not data.get("is_offered"):
            self.add_error("is_offered", "The default size must be offered.")
        return data

    def _get_validation_exclusions(self) -> set[str]:
        # One default: the action replaces the old one, so it is no error of the new one.
        return {*super()._get_validation_exclusions(), "is_default"}  # type: ignore[misc]


class OwnTypeForm(forms.ModelForm):  # type: ignore[type-arg]
    """A size of a person's own."""

    class Meta:
        model = InstanceType
        fields = ("name", "description", "vcpus", "memory_mib", "swap_mib")

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name == "new":
            raise forms.ValidationError("“new” is taken by the page that makes sizes.")
        return name
