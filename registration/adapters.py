"""What django-allauth asks of this site: where pages are, and who may come in."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from registration import standing
from registration.doors import address_of


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False  # the registration page is ours

    def get_client_ip(self, request: HttpRequest) -> str:
        return address_of(request) or "127.0.0.1"

    def respond_user_inactive(self, request: HttpRequest, user: Any) -> HttpResponse:
        """Somebody proved who they are and is not let in: they see where they stand."""
        standing.remember(request, user)
        return redirect("registration:standing")

    def login(self, request: HttpRequest, user: Any) -> None:
        standing.forget(request)
        super().login(request, user)

    def pre_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse | None:
        return None if user.is_active else self.respond_user_inactive(request, user)


class MFAAdapter(DefaultMFAAdapter):
    def get_totp_label(self, user: Any) -> str:
        return str(user.username)

    def get_totp_issuer(self) -> str:
        return str(settings.PORTAL_SITE_NAME)


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return True  # into the queue, like everybody
