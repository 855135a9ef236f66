"""Names that belong to the whole site, without a namespace: ours, and those of django-allauth.

Where one of our pages does what allauth has a page for, allauth's name leads to ours.
"""

from allauth.account.views import reauthenticate
from allauth.usersessions.views import list_usersessions
from django.urls import include, path

from registration.views import entrance, policies, profile, reset, standing

urlpatterns = [
    path("login/", entrance.sign_in, name="login"),
    path("logout/", entrance.sign_out, name="logout"),
    path("policies/", policies.current, name="policies"),
    path("profile/confirm/", reauthenticate, name="account_reauthenticate"),
    path("profile/security/", include("allauth.mfa.urls")),
    path("profile/sessions/", list_usersessions, name="usersessions_list"),
    path("profile/identities/", include("allauth.socialaccount.urls")),
    path("", include("allauth.socialaccount.providers.openid_connect.urls")),
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
