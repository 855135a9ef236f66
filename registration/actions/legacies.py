"""The groups that an account leaves behind: each keeps an owner who can sign in, or ends."""

from registration.actions.groups import delete_group, remove_member, set_role
from registration.models import Group, Membership, Role, User


class Groups:
    """The ``registration.holdings.Holding`` of groups that nobody else owns."""

    def lines(self, person: User) -> list[str]:
        names = [group.name for group in _alone(person)]
        if not names:
            return []
        noun = "group that nobody else owns" if len(names) == 1 else "groups that nobody else owns"
        return [f"{len(names)} {noun}: {', '.join(names)}"]

    def stop(self, person: User, *, by: User, verb: str) -> None:
        """Nothing of a group runs."""

    def hand_over(self, person: User, *, to: User, by: User, is_over_quota: bool) -> None:
        for group in _alone(person):
            Membership.objects.get_or_create(group=group, user=to)
            set_role(group, to, role=Role.OWNER, by=by)

    def remove(self, person: User, *, by: User) -> None:
        """Who has been in it longest becomes the owner; a group without anybody ends."""
        for group in _alone(person):
            others = group.memberships.filter(user__in=User.objects.active()).exclude(user=person)
            eldest = others.order_by("joined_at", "pk").first()
            if eldest:
                set_role(group, eldest.user, role=Role.OWNER, by=by)
            else:
                delete_group(group, by=by, typed=group.name)


def _alone(person: User) -> list[Group]:
    """Groups of which ``person`` is the only owner who can sign in."""
    owned = Group.objects.filter(memberships__user=person, memberships__role=Role.OWNER)
    owners = Membership.objects.filter(role=Role.OWNER, user__in=User.objects.active())
    kept = owners.exclude(user=person).values("group")
    return list(owned.exclude(pk__in=kept).order_by("name"))


def leave_all(person: User, *, by: User) -> None:
    """Take a closed account out of every group."""
    for group in Group.objects.filter(memberships__user=person):
        remove_member(group, person, by=by)


GROUPS = Groups()
