from datetime import timedelta

import factory
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.utils import timezone
from factory.django import DjangoModelFactory

from registration.models import ApiToken, Group, Membership, SshKey, User
from registration.states import AccountState

PASSWORD = "correct horse battery"

_hashed: dict[str, str] = {}


def hashed_password() -> str:
    """PASSWORD's hash, made once for each hasher that a test may have chosen."""
    hasher = settings.PASSWORD_HASHERS[0]
    if hasher not in _hashed:
        _hashed[hasher] = make_password(PASSWORD)
    return _hashed[hasher]


class UserFactory(DjangoModelFactory[User]):
    class Meta:
        model = User

    username = factory.Sequence("user_{}".format)
    email = factory.LazyAttribute(lambda user: f"{user.username}@example.org")
    given_name = "Jane"
    family_name = factory.LazyAttribute(lambda user: user.username.title())
    password = factory.LazyFunction(hashed_password)
    state = AccountState.ACTIVE

    email_confirmed_at = factory.LazyFunction(timezone.now)
    policy_version = 1
    last_seen_at = factory.LazyFunction(timezone.now)

    class Params:
        admin = factory.Trait(is_staff=True)
        applied = factory.Trait(state=AccountState.APPLIED, email_confirmed_at=None)
        confirmed = factory.Trait(state=AccountState.CONFIRMED)
        withdrawn = factory.Trait(state=AccountState.WITHDRAWN)
        suspended = factory.Trait(state=AccountState.SUSPENDED, reason="Your machine sends spam.")
        closed = factory.Trait(state=AccountState.CLOSED, reason="The project has ended.")
        rejected = factory.Trait(state=AccountState.REJECTED, reason="We do not know you.")


class SshKeyFactory(DjangoModelFactory[SshKey]):
    class Meta:
        model = SshKey

    owner = factory.SubFactory(UserFactory)
    name = factory.Sequence("laptop {}".format)
    public_key = factory.Sequence("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{:043d} laptop".format)
    fingerprint = factory.Sequence("SHA256:{:043d}".format)
    is_default = False


class ApiTokenFactory(DjangoModelFactory[ApiToken]):
    """Without a text: nobody can use it. ``actions.create_token`` makes those one can."""

    class Meta:
        model = ApiToken

    owner = factory.SubFactory(UserFactory)
    name = factory.Sequence("program {}".format)
    digest = factory.Sequence("{:064x}".format)
    hint = "slp_test"
    expires_at = factory.LazyFunction(lambda: timezone.now() + timedelta(days=30))

    class Params:
        is_expired = factory.Trait(
            expires_at=factory.LazyFunction(lambda: timezone.now() - timedelta(days=1))
        )


class GroupFactory(DjangoModelFactory[Group]):
    class Meta:
        model = Group

    name = factory.Sequence("group {}".format)


class MembershipFactory(DjangoModelFactory[Membership]):
    class Meta:
        model = Membership

    group = factory.SubFactory(GroupFactory)
    user = factory.SubFactory(UserFactory)
