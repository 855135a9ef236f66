"""What people ask for about accounts. Every door (page, command, API) comes through here."""

from registration.actions.applications import (
    Application,
    approve,
    create_administrator,
    reconsider,
    register,
    reject,
    set_quota,
)
from registration.actions.keys import (
    MOST_KEYS,
    add_key,
    find_or_add_key,
    make_default_key,
    remove_key,
)
from registration.actions.passwords import (
    cancel_reset,
    change_password,
    person_of_link,
    request_reset,
    reset_password,
    sign_in,
)
from registration.actions.policies import agree_to_policies
from registration.actions.profile import Profile, change_profile, choose_instance_type

__all__ = [
    "MOST_KEYS",
    "Application",
    "Profile",
    "add_key",
    "agree_to_policies",
    "approve",
    "cancel_reset",
    "change_password",
    "change_profile",
    "choose_instance_type",
    "create_administrator",
    "find_or_add_key",
    "make_default_key",
    "person_of_link",
    "reconsider",
    "register",
    "reject",
    "remove_key",
    "request_reset",
    "reset_password",
    "set_quota",
    "sign_in",
]
