"""What an OpenID Connect provider says of somebody who has just shown who they are there."""

import re
from dataclasses import dataclass

from allauth.socialaccount.models import SocialAccount

from registration import names
from registration.identities import sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """``provider`` and ``subject`` say who it is, for ever; the rest may change, or be missing."""

    provider: str
    subject: str
    issuer: str
    name: str = ""
    given_name: str = ""
    family_name: str = ""
    username: str = ""
    email: str = ""
    is_email_verified: bool = False

    @property
    def provider_name(self) -> str:
        return sources.name_of(self.provider)

    def as_kept(self) -> dict[str, str | bool]:
        """As ``identity_of`` reads it again."""
        return {
            "iss": self.issuer,
            "name": self.name,
            "given_name": self.given_name,
            "family_name": self.family_name,
            "preferred_username": self.username,
            "email": self.email,
            "email_verified": self.is_email_verified,
        }

    def vouches_for(self, email: str) -> bool:
        return self.is_email_verified and email.lower() == self.email.lower()


def identity_of(account: SocialAccount) -> Identity:
    """From what ``registration.identities.client`` keeps of an answer."""
    said = account.extra_data
    given, _, family = said["name"].rpartition(" ")
    return Identity(
        provider=account.provider,
        subject=account.uid,
        issuer=said["iss"],
        name=said["name"],
        given_name=said["given_name"] or given,
        family_name=said["family_name"] or family,
        username=said["preferred_username"],
        email=said["email"],
        is_email_verified=said["email_verified"],
    )


def suggested_username(identity: Identity) -> str:
    """A user name by our rule, made of what there is; "" if nothing will do."""
    for text in (identity.username, identity.email, identity.family_name):
        name = re.sub(r"[^A-Za-z0-9_]+", "_", text.partition("@")[0])[:20].strip("_")
        if len(name) >= 3 and not names.is_reserved(name):
            return name
    return ""
