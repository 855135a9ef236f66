"""The tables of people."""

from registration.models.attempts import Attempts
from registration.models.cache import CacheLine
from registration.models.credentials import ApiToken, Scope, SshKey
from registration.models.groups import Group, Invitation, Membership, Role
from registration.models.mails import Digest, OutgoingMail
from registration.models.notifications import (
    Delivery,
    DeliveryTry,
    NoticeChoice,
    Notification,
    Webhook,
    choices_of,
)
from registration.models.people import (
    GIB,
    QUOTA_FIELDS,
    USERNAME_RULE,
    Quota,
    User,
    UserManager,
    UserQuerySet,
    limits_in_words,
)
from registration.models.rejections import Rejection
from registration.models.site import ApprovalRule, MailText, Policy, ReasonTemplate, patterns_of
from registration.models.text import same
from registration.models.wishes import QuotaWish, Waiting

__all__ = [
    "GIB",
    "QUOTA_FIELDS",
    "USERNAME_RULE",
    "ApiToken",
    "ApprovalRule",
    "Attempts",
    "CacheLine",
    "Delivery",
    "DeliveryTry",
    "Digest",
    "Group",
    "Invitation",
    "MailText",
    "Membership",
    "NoticeChoice",
    "Notification",
    "OutgoingMail",
    "Policy",
    "Quota",
    "QuotaWish",
    "ReasonTemplate",
    "Rejection",
    "Role",
    "Scope",
    "SshKey",
    "User",
    "UserManager",
    "UserQuerySet",
    "Waiting",
    "Webhook",
    "choices_of",
    "limits_in_words",
    "patterns_of",
    "same",
]
