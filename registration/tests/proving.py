"""A test client that has just proved who it is, or has not for long."""

import time
from typing import Any

from allauth.account.internal.flows import login
from allauth.account.internal.userkit import user_id_to_str
from django.test import Client


def proved(client: Client, user: Any, *, seconds_ago: float = 0) -> Client:
    """``client``, signed in as ``user``, as if it had given the password then."""
    session = client.session
    at = time.time() - seconds_ago
    session[login.AUTHENTICATION_METHODS_SESSION_KEY] = [{"method": "password", "at": at}]
    session[login._AUTHENTICATION_METHODS_USER_SESSION_KEY] = user_id_to_str(user)
    session.save()
    return client
