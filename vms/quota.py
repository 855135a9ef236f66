"""What a person may hold, what they hold, and the refusal that they would meet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Count, Sum

from core.errors import Refused
from registration.models import GIB, User
from vms.models import VM
from volumes.quota import bytes_held, images_held


@dataclass(frozen=True, slots=True)
class Use:
    """One line of a quota: what is held, of how much. ``unit`` is for people.

    ``used`` is a whole number, but for disk: GiB with two decimals.
    """

    name: str  # of the refusal code: quota_<name>
    label: str
    used: int | float
    limit: int
    unit: str = ""

    @property
    def left(self) -> int | float:
        return max(0, _rounded(self.limit - self.used))

    @property
    def title(self) -> str:
        """The label where it stands alone: capitalized, but for vCPUs."""
        return self.label if self.name == "vcpus" else self.label.capitalize()


def quota_use(user: User) -> list[Use]:
    """What ``user`` holds now: every machine that is not Done counts, and every disk that is
    not gone: those in the bin and snapshots too. An image is the disk that machines are made from.
    """
    return [
        *machine_use(user),
        disk_use(user),
        Use("images", "images", images_held(user), user.quota.images),
    ]


def disk_use(user: User) -> Use:
    limit = user.quota.disk_bytes // GIB
    return Use("disk", "persistent disk", in_gib(bytes_held(user)), limit, "GiB")


def in_gib(size_bytes: int) -> int | float:
    """GiB with up to two decimals; whole ones without."""
    return _rounded(size_bytes / GIB)


def _rounded(number: float) -> int | float:
    near = round(number, 2)
    return int(near) if near == int(near) else near


def machine_use(user: User) -> list[Use]:
    """The lines of ``quota_use`` that a new machine would use up."""
    held = (
        VM.objects.alive()
        .filter(owner=user)
        .aggregate(
            machines=Count("pk"), vcpus=Sum("vcpus", default=0), memory=Sum("memory_mib", default=0)
        )
    )
    quota = user.quota
    return [
        Use("machines", "machines", held["machines"], quota.machines),
        Use("vcpus", "vCPUs", held["vcpus"], quota.vcpus),
        Use("memory", "memory", held["memory"], quota.memory_mib, "MiB"),
    ]


def over_quota(use: Iterable[Use], size: Any) -> Refused | None:
    """The refusal that a machine of this size would meet, or None."""
    needs = _needs([size])
    for line in use:
        need = needs.get(line.name, 0)
        if need and line.used + need > line.limit:
            return Refused(
                f"quota_{line.name}",
                f"{_too_little(line)} and this machine needs {need}{_unit(line)}. "
                "Kill a machine, or ask for more under “Quota and usage”.",
            )
    return None


def over_quota_together(use: Sequence[Use], sizes: Sequence[Any]) -> Refused | None:
    """The refusal that machines of these sizes would meet together, or None.

    It says how many of them fit, in their order.
    """
    if len(sizes) == 1:
        return over_quota(use, sizes[0])
    needs = _needs(sizes)
    for line in use:
        need = needs.get(line.name, 0)
        if need and line.used + need > line.limit:
            fit = fitting(use, sizes)
            return Refused(
                f"quota_{line.name}",
                f"{_too_little(line)} and these {len(sizes)} machines need {need}{_unit(line)}. "
                f"{_how_many_fit(fit)} Kill machines, or ask for more under “Quota and usage”.",
            )
    return None


def over_quota_as_cluster(
    use: Sequence[Use], master: Sequence[Any], workers: Sequence[Any]
) -> Refused | None:
    """The refusal that a cluster would meet, with every line that it breaks, or None.

    ``master`` is empty if that one is a machine that runs already, and counts already.
    """
    sizes = [*master, *workers]
    needs = _needs(sizes)
    broken = [line for line in use if line.used + needs.get(line.name, 0) > line.limit]
    if not broken:
        return None
    told = [
        f"it needs {_amount(line, needs[line.name])}, and of {line.limit}{_unit(line)} you hold "
        f"{line.used}{_unit(line)}"
        for line in broken
    ]
    count = f"{len(workers)} worker{'s' * (len(workers) != 1)}"
    who = f"a master and {count}" if master else f"{count} beside a machine that runs already"
    fit = fitting(use, sizes) - len(master)
    less = f"With {fit} worker{'s' * (fit != 1)} it would fit. " if fit > 0 else ""
    kill = "kill machines, or " if any(line.used for line in broken) else ""
    ask = f"{kill}ask for more under “Quota and usage”."
    return Refused(
        f"quota_{broken[0].name}",
        f"This cluster, {who}, does not fit your quota: {'; '.join(told)}. {less}"
        f"{'Or ' + ask if less else ask[0].upper() + ask[1:]}",
        field="workers",
    )


def _amount(line: Use, number: int) -> str:
    words = f"{number} {line.label}" if not line.unit else f"{number} {line.unit} of {line.label}"
    return words.removesuffix("s") if number == 1 and not line.unit else words


def fitting(use: Sequence[Use], sizes: Sequence[Any]) -> int:
    """How many of these, from the first one on, the quota has room for."""
    for number, size in enumerate(sizes):
        if over_quota(use, size):
            return number
        use = with_machine(use, size)
    return len(sizes)


def with_machine(use: Sequence[Use], size: Any) -> list[Use]:
    """What is held once a machine of this size is held too."""
    needs = _needs([size])
    return [replace(line, used=line.used + needs.get(line.name, 0)) for line in use]


def _needs(sizes: Sequence[Any]) -> dict[str, int]:
    return {
        "machines": len(sizes),
        "vcpus": sum(size.vcpus for size in sizes),
        "memory": sum(size.memory_mib for size in sizes),
    }


def _how_many_fit(fit: int) -> str:
    if not fit:
        return "Not even the first fits."
    return "Only the first one fits." if fit == 1 else f"Only the first {fit} fit."


def too_large_for(use: Iterable[Use], size: Any) -> Refused | None:
    """The refusal of a size that the quota has no room for even if nothing else is held."""
    needs = _needs([size])
    for line in use:
        need = needs.get(line.name, 0)
        if need > line.limit:
            return Refused(
                "size_over_quota",
                f"Your quota is {line.limit}{_unit(line) or ' ' + line.label}: a machine of "
                f"{need}{_unit(line)} would never fit. Make it smaller, or ask for more under "
                "“Quota and usage”.",
                field={"vcpus": "vcpus", "memory": "memory_mib"}.get(line.name),
            )
    return None


def _too_little(line: Use, *, whose: str = "Your quota", who: str = "you hold") -> str:
    return (
        f"{whose} is {line.limit}{_unit(line) or ' ' + line.label}: {who} {line.used}{_unit(line)}"
    )


def _unit(line: Use) -> str:
    return f" {line.unit}" if line.unit else ""


def must_fit(to: User, given: Sequence[VM]) -> None:
    """Raises: Refused: ``quota_machines``, ``quota_vcpus``, ``quota_memory``."""
    needs = {
        "machines": len(given),
        "vcpus": sum(vm.vcpus for vm in given),
        "memory": sum(vm.memory_mib for vm in given),
    }
    for line in machine_use(to):
        need = needs[line.name]
        if line.used + need > line.limit:
            sentence = (
                f"{_too_little(line, whose=f'The quota of {to}', who='they hold')} and this would "
                f"add {need}{_unit(line)}. Raise their quota, or give it beyond the quota."
            )
            raise Refused(f"quota_{line.name}", sentence)
