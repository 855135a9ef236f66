"""Where the site asks it of administrators, none goes on without a second factor."""

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from registration.acting import who_acts
from registration.gates import answers

#: What is needed to set one up.
OPEN = answers.ALWAYS_OPEN | {
    "registration:agree",
    "account_reauthenticate",
    "mfa_index", "mfa_reauthenticate", "mfa_activate_totp", "mfa_view_recovery_codes",
    "mfa_download_recovery_codes", "mfa_generate_recovery_codes", "mfa_list_webauthn",
    "mfa_add_webauthn", "mfa_reauthenticate_webauthn",
}  # fmt: skip


def gate(request: HttpRequest) -> HttpResponse | None:
    person = who_acts(request) or request.user
    if not (settings.PORTAL_ADMIN_SECOND_FACTOR and person.is_staff):
        return None
    if answers.name_of(request) in OPEN or is_mfa_enabled(person):
        return None
    return answers.lead_to(
        request,
        reverse("mfa_index"),
        "second_factor_missing",
        "Administrators of this site need a second factor. Set one up, then go on.",
    )
