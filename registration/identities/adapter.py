"""What django-allauth asks of this site about people who come from a provider."""

import logging
from typing import Any

import requests
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.internal.flows.login import record_authentication
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.base import AuthError, AuthProcess
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode

from core.errors import Refused
from registration import actions
from registration.identities import client, sources
from registration.identities.said import identity_of
from registration.models import User
from registration.reauthentication import resume

logger = logging.getLogger(__name__)

#: Not a fault of ours, which would be logged with the address: that holds the code.
FORBIDDEN = 403
#: What a person goes to a provider for, beside signing in and connecting: to prove it again.
PROVE = "prove"


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return True  # into the queue, like everybody

    def is_auto_signup_allowed(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return False  # a person reads the policies and agrees

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        """Those of the settings; the table that allauth has for them stays empty."""
        configured = settings.SOCIALACCOUNT_PROVIDERS.get("openid_connect", {}).get("APPS", [])
        return [
            SocialApp(provider="openid_connect", **app)
            for app in configured
            if provider in (None, "openid_connect", app["provider_id"])
            and client_id in (None, app["client_id"])
        ]

    def get_provider(
        self, request: HttpRequest, provider: str, client_id: str | None = None
    ) -> client.Provider:
        return client.Provider(request, app=self.get_app(request, provider, client_id))

    def list_providers(self, request: HttpRequest) -> list[client.Provider]:
        return [client.Provider(request, app=app) for app in self.list_apps(request)]

    def get_requests_session(self) -> requests.Session:
        return client.Session()

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: Any) -> Any:
        return sociallogin.user  # the person says, on a page of ours

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """A provider has proved who somebody is; what for is in the state.

        Raises: ImmediateHttpResponse: the person goes elsewhere than in.
        """
        sociallogin.token = None  # asked with, once; it is not kept
        process = sociallogin.state.get("process")
        if process == AuthProcess.CONNECT:
            raise ImmediateHttpResponse(self._connect(request, sociallogin))
        if process == PROVE:
            raise ImmediateHttpResponse(self._prove(request, sociallogin))
        if sociallogin.is_existing:
            provider = sociallogin.account.provider
            try:
                actions.enter_through(sociallogin.user, provider=provider)
            except Refused as refused:
                raise ImmediateHttpResponse(said_no(request, str(refused), FORBIDDEN)) from None

    def _connect(self, request: HttpRequest, sociallogin: SocialLogin) -> HttpResponse:
        person = _still_there(request, sociallogin)
        if person is None:
            messages.error(request, "You were signed out meanwhile. Sign in and connect it again.")
            return redirect("socialaccount_connections")
        identity = identity_of(sociallogin.account)
        try:
            is_new = actions.connect_identity(person, identity)
        except Refused as refused:
            messages.error(request, str(refused))
        else:
            what = "is connected" if is_new else "was connected already"
            messages.success(request, f"{identity.provider_name} {what}.")
        return redirect("socialaccount_connections")

    def _prove(self, request: HttpRequest, sociallogin: SocialLogin) -> HttpResponse:
        there = sociallogin.state.get("next") or reverse("mfa_index")
        person = _still_there(request, sociallogin)
        if person and sociallogin.user == person:
            record_authentication(request, sociallogin)
            person.record_event("proved_again", by=person, factor=sociallogin.account.provider)
            return resume(request, there)
        messages.error(request, "That was another identity than the one of your account.")
        return _to_proof(there)

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: Any = None,
    ) -> None:
        """Raises: ImmediateHttpResponse: a page of ours that says why, and the way out."""
        sub_id = provider.app.provider_id
        logger.warning(
            "provider.failed",
            extra={"provider": sub_id, "code": str(error), "error": repr(exception)[:500]},
        )
        if error == AuthError.CANCELLED:
            return
        name = sources.name_of(sub_id)
        if isinstance(exception, client.NotProvedNow):
            raise ImmediateHttpResponse(_ask_again(request, name, (extra_context or {})["state"]))
        if exception is None:
            raise ImmediateHttpResponse(self._unknown(request, name))
        if isinstance(exception, requests.RequestException):
            actions.deny_identity(sub_id, "no answer")
            sentence = f"{name} does not answer, or has trouble. Try again in some minutes."
        else:
            actions.deny_identity(sub_id, "the answer cannot be believed")
            sentence = (
                f"What {name} answered could not be believed, so nobody was signed in. "
                "Try again; if it stays so, tell an administrator the reference below."
            )
        raise ImmediateHttpResponse(said_no(request, sentence, FORBIDDEN))

    def _unknown(self, request: HttpRequest, name: str) -> HttpResponse:
        if "error" in request.GET and "state" in request.GET:
            sentence = f"{name} says that it could not sign you in."
        else:
            sentence = (
                "This sign-in was begun in another browser, more than ten minutes ago, "
                "or was finished already. Begin again."
            )
        return said_no(request, sentence, 400)


def _still_there(request: HttpRequest, sociallogin: SocialLogin) -> User | None:
    """The person who went to the provider, if it is they who come back."""
    user: Any = request.user
    is_same = user.is_authenticated and sociallogin.state.get("user") == str(user.uuid)
    return user if is_same else None


def _ask_again(request: HttpRequest, name: str, state: dict[str, Any]) -> HttpResponse:
    """Back to the page that asks for a proof: the provider's answer was none."""
    sentence = (
        f"{name} did not say that it asked you again just now, so this proves nothing. Try once "
        "more and sign in there anew; if it never asks, sign out here and in again."
    )
    user: Any = request.user
    if user.is_authenticated:
        user.record_denial("proved_again", by=user, reason=sentence)
    messages.error(request, sentence)
    return _to_proof(state.get("next") or reverse("mfa_index"))


def _to_proof(there: str) -> HttpResponse:
    return redirect(f"{reverse('account_reauthenticate')}?{urlencode({'next': there})}")


def said_no(request: HttpRequest, sentence: str, status: int) -> HttpResponse:
    return render(request, "socialaccount/refused.html", {"sentence": sentence}, status=status)
