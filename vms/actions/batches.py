"""Order several machines at once: all of them, or as many as can be."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from uuid import UUID, uuid5

from django.conf import settings
from django.db import IntegrityError, transaction

from core.errors import Refused
from core.models import record
from registration import names
from registration.models import User
from vms.actions.launching import (
    Order,
    lock_disks,
    must_be_launchable,
    place,
    the_only_one,
)
from vms.models import VM, Batch
from vms.quota import Use, machine_use, over_quota, over_quota_together, with_machine

MOST_MACHINES = 200  # of one batch
LONGEST_NAME = 80
_NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row of a table, from 1, that is not launched, and why."""

    row: int
    name: str
    reason: str


class RowsRefused(Refused):
    """Some of several orders cannot be: ``rows`` says which (the first is 1) and why."""

    def __init__(self, rows: dict[int, Refused], names_of: Sequence[str]) -> None:
        told = [f"row {row} ({names_of[row - 1]}): {refused}" for row, refused in rows.items()]
        more = f" And {len(told) - 3} more." if len(told) > 3 else ""
        super().__init__(
            "batch_rows",
            f"{len(rows)} of {len(names_of)} machines cannot be launched, so none was: "
            f"{' '.join(told[:3])}{more}",
        )
        self.rows = rows


def alike(first: Order, count: int) -> list[Order]:
    """So many of the same: NAME-1, NAME-2 and so on; the same orders each time."""
    if count == 1:
        return [first]
    too_long = len(first.name) + len(str(count)) + 1 - LONGEST_NAME
    base = first.name[:-too_long] if too_long > 0 else first.name
    return [
        replace(first, name=f"{base}-{number}", launch_key=uuid5(first.launch_key, str(number)))
        for number in range(1, count + 1)
    ]


def launch_many(
    *,
    owner: User,
    orders: Sequence[Order],
    name: str,
    key: UUID,
    all_or_nothing: bool = True,
    left_out: Sequence[LeftOut] = (),
    cloud: str = settings.DEFAULT_CLOUD,
) -> Batch:
    """Order several machines in one transaction. The same ``key`` twice is one batch.

    With ``all_or_nothing`` one refusal is all; else what can be is launched, and the batch keeps
    why the rest was not. ``left_out`` are rows of its table that are no order at all; the others
    are numbered around them.

    Raises:
        Refused: ``batch_empty``, ``batch_too_many``, ``batch_name``, ``batch_key``,
            ``batch_rows`` (a ``RowsRefused``), and all that ``launch`` refuses; of the quota, in
            one sentence that says how many fit.
    """
    if batch := _known(owner, key):
        return batch
    name = _must_be_orders(orders, name, left_out)
    refused = _judged(owner, orders, cloud)
    if refused and (all_or_nothing or len(refused) == len(orders)):
        raise _together(refused, orders)
    with transaction.atomic():
        owner = the_only_one(owner)
        if batch := _known(owner, key):  # sent twice at once
            return batch
        batch = _begin(owner, name, key, len(orders) + len(left_out))
        lock_disks(orders)
        if all_or_nothing:
            _launch_all(batch, orders, cloud)
        else:
            _launch_some(batch, orders, refused, cloud)
        _keep_refusals(batch, orders, refused, left_out)
        launched = batch.asked - len(batch.refused)
        record("batch", batch.uuid, "asked", by=owner, owner=owner.pk, label=batch.name,
               asked=batch.asked, launched=launched)  # fmt: skip
    return batch


def _known(owner: User, key: UUID) -> Batch | None:
    return Batch.objects.filter(owner=owner, uuid=key).first()


def _must_be_orders(orders: Sequence[Order], name: str, left_out: Sequence[LeftOut]) -> str:
    if not orders:
        raise Refused("batch_empty", "There is no machine in it.")
    if len(orders) + len(left_out) > MOST_MACHINES:
        raise Refused(
            "batch_too_many",
            f"These are {len(orders)} machines; a batch has {MOST_MACHINES} at most. Make two.",
        )
    return names.line(name, "batch_name", field="name")[:80] or orders[0].name[:80]


def _judged(owner: User, orders: Sequence[Order], cloud: str) -> dict[int, Refused]:
    """Before anything is written. Machines that differ by their name alone are judged once."""
    judged: list[tuple[Order, Refused | None]] = []
    refused: dict[int, Refused] = {}
    for row, order in enumerate(orders, 1):
        kind = replace(order, name="", launch_key=_NOBODY)
        known = next((one for one in judged if one[0] == kind), None)
        if known is None:
            known = (kind, _why_not(owner, order, cloud))
            judged.append(known)
        if known[1]:
            refused[row] = known[1]
    return refused


def _why_not(owner: User, order: Order, cloud: str) -> Refused | None:
    try:
        must_be_launchable(owner, order, cloud)
    except Refused as refused:
        return refused
    return None


def _together(refused: dict[int, Refused], orders: Sequence[Order]) -> Refused:
    """One sentence for all, if it is the same one."""
    sentences = {str(one) for one in refused.values()}
    if len(sentences) == 1 and len(refused) == len(orders):
        return next(iter(refused.values()))
    return RowsRefused(refused, [order.name for order in orders])


def _begin(owner: User, name: str, key: UUID, asked: int) -> Batch:
    try:
        with transaction.atomic():
            return Batch.objects.create(owner=owner, uuid=key, name=name, asked=asked)
    except IntegrityError:  # another person's
        raise Refused("batch_key", "This key is taken. Reload the page, and try again.") from None


def _launch_all(batch: Batch, orders: Sequence[Order], cloud: str) -> None:
    if refusal := over_quota_together(machine_use(batch.owner), orders):
        raise refusal
    for row, order in enumerate(orders, 1):
        try:
            _launch(batch, order, cloud)
        except Refused as refused:
            raise _together({row: refused}, orders) from None


def _launch_some(
    batch: Batch, orders: Sequence[Order], refused: dict[int, Refused], cloud: str
) -> None:
    use: list[Use] = machine_use(batch.owner)
    for row, order in enumerate(orders, 1):
        if row in refused:
            continue
        try:
            if refusal := over_quota(use, order):
                raise refusal
            with transaction.atomic():
                _launch(batch, order, cloud)
        except Refused as why:
            refused[row] = why
        else:
            use = with_machine(use, order)
    if len(refused) == len(orders):
        raise _together(refused, orders)


def _keep_refusals(
    batch: Batch,
    orders: Sequence[Order],
    refused: Mapping[int, Refused],
    left_out: Sequence[LeftOut],
) -> None:
    gaps = {one.row for one in left_out}
    rows = [row for row in range(1, batch.asked + 1) if row not in gaps]  # of the orders
    lines = [*left_out]
    for number, why in refused.items():
        lines.append(LeftOut(rows[number - 1], orders[number - 1].name, str(why)))
    batch.refused = [asdict(line) for line in sorted(lines, key=lambda line: line.row)]
    batch.save(update_fields=["refused"])


def _launch(batch: Batch, order: Order, cloud: str) -> VM:
    if VM.objects.filter(owner=batch.owner, launch_key=order.launch_key).exists():
        raise Refused("launched_already", f"{order.name} was launched already.")
    return place(batch.owner, order, cloud, batch)
