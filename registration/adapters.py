"""What django-allauth asks of this site: where pages are, and who may come in."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse, ReauthenticationRequired
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.shortcuts import redirect
from django.utils.crypto import constant_time_compare

from registration import reauthentication, sealing, sessions, standing
from registration.doors import address_of
from registration.states import TOLD

#: The session's key: what the password was when this sign-in began.
BEGAN_WITH = "sign_in_began_with"


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False  # the registration page is ours

    def get_client_ip(self, request: HttpRequest) -> str:
        return address_of(request) or "127.0.0.1"

    def respond_user_inactive(self, request: HttpRequest, user: Any) -> HttpResponse:
        """Somebody proved who they are and is not let in: they see where they stand."""
        if user.state in TOLD:
            standing.remember(request, user)
            return redirect("registration:standing")
        messages.error(request, "This account is closed.")
        return redirect("login")

    def pre_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse | None:
        if not user.is_active:
            return self.respond_user_inactive(request, user)
        request.session[BEGAN_WITH] = user.get_session_auth_hash()
        return None

    def login(self, request: HttpRequest, user: Any) -> None:
        """The last step, perhaps minutes after the first: what held then must hold now."""
        if not user.is_active:
            raise ImmediateHttpResponse(self.respond_user_inactive(request, user))
        began_with = request.session.pop(BEGAN_WITH, "")
        if not constant_time_compare(began_with, user.get_session_auth_hash()):
            messages.error(request, "Your password has changed meanwhile. Sign in with it.")
            raise ImmediateHttpResponse(redirect("login"))
        standing.forget(request)
        sessions.make_room(user)
        super().login(request, user)

    def post_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse:
        records = get_authentication_records(request, user)
        how = [one.get("type") or one.get("provider") or one["method"] for one in records]
        if how != ["password"]:  # which is written down where it is checked
            user.record_event("signed_in", by=user, how=how)
        response: HttpResponse = super().post_login(request, user, **kwargs)
        return response

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Asked of everybody: allauth itself lets those through who have no password."""
        if not reauthentication.is_fresh(context.request):
            raise ReauthenticationRequired
        return False


class MFAAdapter(DefaultMFAAdapter):
    def get_totp_label(self, user: Any) -> str:
        return str(user.username)

    def get_totp_issuer(self) -> str:
        return str(settings.PORTAL_SITE_NAME)

    def encrypt(self, text: str) -> str:
        return sealing.seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        return sealing.unseal(encrypted_text)

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Keys belong to the name in the address bar; that it is one of ours is checked before."""
        host, _ = split_domain_port(context.request.get_host())
        return {"id": host, "name": str(settings.PORTAL_SITE_NAME)}

    def get_public_key_credential_user_entity(self, user: Any) -> dict[str, Any]:
        names = {"name": user.username, "display_name": user.get_full_name() or user.username}
        return {**super().get_public_key_credential_user_entity(user), **names}
