"""What a person may hold at the same time, as an administrator sets it."""

from django import forms

from registration.forms.base import Form
from registration.models import User


class QuotaForm(Form):
    machines = forms.IntegerField(required=False, min_value=0)
    vcpus = forms.IntegerField(label="vCPUs", required=False, min_value=0)
    memory_mib = forms.IntegerField(label="Memory in MiB", required=False, min_value=0)

    @classmethod
    def of(cls, user: User) -> "QuotaForm":
        return cls(initial={name: getattr(user, f"quota_{name}") for name in cls.base_fields})
