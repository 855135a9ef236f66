"""Where the site asks it of administrators, none goes on without a second factor."""

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from registration.acting import who_acts
from registration.actions import second_factor
from registration.gates import answers

#: What is needed to set one up.
OPEN = answers.ALWAYS_OPEN | {
    "registration:agree", "registration:policy", "registration:policy_changes",
    "account_reauthenticate",
    "socialaccount_prove", "openid_connect_callback", "socialaccount_login_cancelled",
    "mfa_index", "mfa_activate_totp", "mfa_add_webauthn",
    "mfa_view_recovery_codes", "mfa_download_recovery_codes",
}  # fmt: skip


def gate(request: HttpRequest) -> HttpResponse | None:
    person = who_acts(request) or request.user
    if not second_factor.is_asked_of(person):
        return None
    if answers.name_of(request) in OPEN or second_factor.has_second_factor(person):
        return None
    return answers.lead_to(
        request,
        reverse("mfa_index"),
        "second_factor_missing",
        "Administrators of this site need a second factor. Set one up, then go on.",
    )
