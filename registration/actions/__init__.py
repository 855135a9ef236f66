"""What people ask for about accounts. Every door (page, command, API) comes through here."""

from registration.actions.addresses import confirm_email, person_to_confirm
from registration.actions.applications import Application, create_administrator, register
from registration.actions.keys import (
    MOST_KEYS,
    add_key,
    find_or_add_key,
    make_default_key,
    note_use_of_keys,
    remove_key,
    rename_key,
)
from registration.actions.moderation import (
    LONGEST_REASON,
    approve,
    approve_many,
    by_rule,
    reconsider,
    reject,
    take_back,
    vouch,
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
from registration.actions.quotas import set_quota

__all__ = [
    "LONGEST_REASON",
    "MOST_KEYS",
    "Application",
    "Profile",
    "add_key",
    "agree_to_policies",
    "approve",
    "approve_many",
    "by_rule",
    "cancel_reset",
    "change_password",
    "change_profile",
    "choose_instance_type",
    "confirm_email",
    "create_administrator",
    "find_or_add_key",
    "make_default_key",
    "note_use_of_keys",
    "person_of_link",
    "person_to_confirm",
    "reconsider",
    "register",
    "reject",
    "remove_key",
    "rename_key",
    "request_reset",
    "reset_password",
    "set_quota",
    "sign_in",
    "take_back",
    "vouch",
]
