"""What accounts hold here: their disks."""

from registration.models import User


class Disks:
    """The ``registration.holdings.Holding`` of this floor."""

    def lines(self, person: User) -> list[str]:
        return []

    def stop(self, person: User, *, by: User, verb: str) -> None:
        """Disks lie still by themselves."""

    def hand_over(self, person: User, *, to: User, by: User, is_over_quota: bool) -> None: ...

    def remove(self, person: User, *, by: User) -> None: ...


DISKS = Disks()
