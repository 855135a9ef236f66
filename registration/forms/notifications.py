"""Which notifications go by mail, and what a webhook is told."""

from typing import Any

from django import forms

from registration.actions.webhooks import LONGEST_URL
from registration.forms.base import Form, text
from registration.models import Webhook
from registration.notices import NOTICES


class FilterForm(forms.Form):
    """Which notifications the page shows."""

    kind = forms.ChoiceField(
        label="Kind",
        required=False,
        choices=[("", "All kinds"), *((one.name, one.title) for one in NOTICES.values())],
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    unread = forms.BooleanField(
        label="Unread only",
        required=False,
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )

    @property
    def is_used(self) -> bool:
        return self.is_valid() and any(self.cleaned_data.values())


class WebhookForm(Form):
    url = text(
        "Address",
        "off",
        LONGEST_URL,
        widget=forms.URLInput,
        help_text="Where the portal sends a POST request to: https://… is best, since others "
        "cannot read it on its way.",
        missing="Write the address of your program.",
        attrs={"spellcheck": "false", "placeholder": "https://hooks.example.org/stratuslab"},
    )
    kinds = forms.MultipleChoiceField(
        label="It is told of",
        choices=[(one.name, one.title) for one in NOTICES.values()],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one kind of notification."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("initial", {"kinds": [name for name in NOTICES if name != "webhook_off"]})
        super().__init__(*args, **kwargs)


class ChangeWebhookForm(WebhookForm):
    is_on = forms.BooleanField(
        label="Switched on", required=False, help_text="Switched off, it is told nothing."
    )

    @classmethod
    def of(cls, hook: Webhook) -> "ChangeWebhookForm":
        return cls(initial={"url": hook.url, "kinds": hook.kinds, "is_on": hook.is_on})
