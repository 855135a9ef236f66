"""Names that belong to the whole site, without a namespace: ours, and those of django-allauth.

Where one of our pages does what allauth has a page for, allauth's name leads to ours.
"""

from django.urls import path

from registration.views import (
    entrance,
    identities,
    passkeys,
    policies,
    profile,
    proof,
    reset,
    security,
    sessions,
    standing,
)

urlpatterns = [
    path("login/", entrance.sign_in, name="login"),
    path("logout/", entrance.sign_out, name="logout"),
    path("policies/", policies.current, name="policies"),
    path("login/second-step/", proof.second_step, name="mfa_authenticate"),
    path("login/passkey/", passkeys.sign_in, name="mfa_login_webauthn"),
    path("profile/confirm/", proof.again, name="account_reauthenticate"),
    path("profile/security/", security.index, name="mfa_index"),
    path("profile/security/app/", security.add_app, name="mfa_activate_totp"),
    path("profile/security/app/remove/", security.remove_app, name="mfa_deactivate_totp"),
    path("profile/security/codes/", security.recovery_codes, name="mfa_view_recovery_codes"),
    path(
        "profile/security/codes/download/",
        security.download_recovery_codes,
        name="mfa_download_recovery_codes",
    ),
    path(
        "profile/security/codes/renew/",
        security.renew_recovery_codes,
        name="mfa_generate_recovery_codes",
    ),
    path("profile/security/passkeys/add/", passkeys.add, name="mfa_add_webauthn"),
    path("profile/security/passkeys/<int:pk>/", passkeys.rename, name="mfa_edit_webauthn"),
    path(
        "profile/security/passkeys/<int:pk>/remove/",
        passkeys.remove,
        name="mfa_remove_webauthn",
    ),
    path("profile/sessions/", sessions.index, name="usersessions_list"),
    path("profile/sessions/<int:pk>/end/", sessions.end, name="usersessions_end"),
    path("profile/identities/", identities.connections, name="socialaccount_connections"),
    path(
        "profile/identities/<int:pk>/disconnect/",
        identities.disconnect,
        name="socialaccount_disconnect",
    ),
    path("register/finish/", identities.finish, name="socialaccount_signup"),
    path("login/cancelled/", identities.cancelled, name="socialaccount_login_cancelled"),
    path("oidc/<slug:provider_id>/login/", identities.sign_in, name="openid_connect_login"),
    path(
        "oidc/<slug:provider_id>/login/callback/",
        identities.callback,
        name="openid_connect_callback",
    ),
    path("oidc/<slug:provider_id>/connect/", identities.connect, name="socialaccount_connect"),
    path("oidc/<slug:provider_id>/prove/", identities.prove, name="socialaccount_prove"),
    path("login/", entrance.sign_in, name="account_login"),
    path("logout/", entrance.sign_out, name="account_logout"),
    path("register/", entrance.register, name="account_signup"),
    path("register/standing/", standing.index, name="account_inactive"),
    path("register/sent/", entrance.sent, name="account_email_verification_sent"),
    path("profile/", profile.profile, name="account_email"),
    path("profile/password/", profile.password, name="account_change_password"),
    path("profile/password/", profile.password, name="account_set_password"),
    path("reset/", reset.ask, name="account_reset_password"),
]
