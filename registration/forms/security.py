"""The forms of second factors and of proving again who one is."""

from typing import Any

from django import forms

from registration.actions import second_factor
from registration.forms.base import Form, password_field, text

#: What a browser sends about a key, in characters.
LONGEST_CREDENTIAL = 16 * 1024
LONGEST_CODE = 32


def _code(label: str, **kwargs: Any) -> forms.CharField:
    attrs = {
        "inputmode": "numeric",
        "spellcheck": "false",
        "autocapitalize": "off",
        **kwargs.pop("attrs", {}),
    }
    return text(label, "one-time-code", LONGEST_CODE, attrs=attrs, **kwargs)


def _name() -> forms.CharField:
    help_text = "To tell it from others: “Phone”, “Key on my ring”."
    return text("Name", "off", second_factor.LONGEST_NAME, help_text=help_text, required=False)


class CodeForm(Form):
    """A code at sign-in, or to prove again who one is."""

    code = _code("Code", help_text="Six digits from your app, or one of your recovery codes.")


class FirstCodeForm(Form):
    """The first code of an app that is being set up."""

    code = _code("Code from the app", help_text="The six digits it shows now.")


class PasswordAgainForm(Form):
    password = password_field("Password", is_new=False)


class CredentialField(forms.JSONField):
    """JSON of a stranger: not long, not deep, and never sent back: it is good once."""

    default_error_messages = {
        "required": "The browser sent no passkey.",
        "invalid": "The browser sent something that is no passkey.",
    }
    widget = forms.HiddenInput

    def to_python(self, value: Any) -> Any:
        try:
            if len(value or "") <= LONGEST_CREDENTIAL:
                return super().to_python(value)
        except RecursionError:
            pass
        raise forms.ValidationError(self.error_messages["invalid"], code="invalid")

    def bound_data(self, data: Any, initial: Any) -> Any:
        return ""

    def prepare_value(self, value: Any) -> Any:
        return ""


class CredentialForm(Form):
    """What a passkey signed, as the browser tells it."""

    credential = CredentialField()


class PasskeyForm(CredentialForm):
    name = _name()
    passwordless = forms.BooleanField(
        label="Let it sign me in without my password",
        required=False,
        initial=True,
        help_text="It must then ask for a PIN, a finger or a face each time.",
    )


class NameForm(Form):
    name = _name()
