"""What a person may hold at the same time, in a form."""

from collections.abc import Mapping
from typing import Any

from django import forms

from core.errors import Refused
from registration import names
from registration.forms.base import Form
from registration.models import GIB, QUOTA_FIELDS, Quota, User


def _limit(label: str) -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, min_value=0)


class QuotaForm(Form):
    """Blank: as everybody. Disk is in GiB here and in bytes everywhere else."""

    machines = _limit("Machines")
    vcpus = _limit("vCPUs")
    memory_mib = _limit("Memory in MiB")
    disk_gib = _limit("Disk in GiB")
    images = _limit("Images")

    @classmethod
    def of(cls, user: User) -> "QuotaForm":
        return cls(initial=shown({name: getattr(user, f"quota_{name}") for name in QUOTA_FIELDS}))

    def limits(self) -> dict[str, int | None]:
        """Every limit, by the names of ``QUOTA_FIELDS``; None where nothing was written."""
        limits = {name: self.cleaned_data.get(_field(name)) for name in QUOTA_FIELDS}
        if limits["disk_bytes"] is not None:
            limits["disk_bytes"] *= GIB
        return limits

    def refuse(self, refused: Refused, *, beside: str | None = None) -> None:
        field = _field(refused.field) if refused.field else None
        super().refuse(refused, beside=beside or (field if field in self.fields else None))


def _field(limit: str) -> str:
    return "disk_gib" if limit == "disk_bytes" else limit


def shown(limits: Mapping[str, int | None]) -> dict[str, int | None]:
    """Limits by the names of the form's fields, in the form's units."""
    return {
        _field(name): limit // GIB if limit is not None and name == "disk_bytes" else limit
        for name, limit in limits.items()
    }


def limits_of(data: Mapping[str, str]) -> dict[str, int]:
    """The limits that were written into a form of a list's row; {}: none was.

    Raises: Refused: ``quota_invalid``.
    """
    form = QuotaForm(data)
    if not form.is_valid():
        field = next(iter(form.errors))
        label = form.fields[field].label
        raise Refused("quota_invalid", f"{label}: {form.errors[field][0]}", field=field)
    return {name: limit for name, limit in form.limits().items() if limit is not None}


def limit_fields(defaults: Quota, wanted: Mapping[str, int] | None = None) -> list[dict[str, Any]]:
    """The fields of a row's fold: name, label, what holds now, and what is wished for."""
    usual = shown({name: getattr(defaults, name) for name in QUOTA_FIELDS})
    values = shown(wanted or {})
    return [
        {
            "name": name,
            "label": field.label,
            "usual": usual[name],
            "value": values.get(name),
        }
        for name, field in QuotaForm.base_fields.items()
    ]


class WishForm(QuotaForm):
    """What a person would like to hold, and why."""

    message = forms.CharField(
        label="What do you need it for?",
        max_length=names.LONGEST_MESSAGE,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Administrators decide by this: what you run, how long, and why what you "
        "have is too little.",
    )

    def __init__(self, data: Mapping[str, Any] | None, *, quota: Quota) -> None:
        super().__init__(data)
        for field in limit_fields(quota):
            self.fields[field["name"]].help_text = f"Now {field['usual']}. Blank: as it is."
