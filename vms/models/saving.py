"""Images that machines' disks are to become."""

from django.db import models
from django.db.models import Q

from core.machine import Stateful
from marketplace.models import Draft, Entry
from vms.models.machines import VM
from vms.states import LOSABLE, OPEN, SAVING_DEADLINES, SAVING_MEANINGS, SAVING_MOVES, SavingState
from volumes.models import Volume


class Saving(Stateful):
    """What a machine's root disk is to become once the machine is off. One to a machine."""

    KIND = "saving"
    MOVES = SAVING_MOVES
    DEADLINES = SAVING_DEADLINES

    state = models.CharField(max_length=10, choices=SavingState, default=SavingState.PLANNED)
    vm = models.OneToOneField(VM, models.PROTECT, related_name="saving")
    title = models.CharField(max_length=200)
    comment = models.TextField(blank=True)
    author = models.CharField(max_length=200)
    email = models.EmailField(max_length=254)
    version = models.CharField(max_length=40)
    # The disk, from when the copying begins. A second try makes a second one.
    volume = models.ForeignKey(
        Volume, models.SET_NULL, null=True, blank=True, related_name="savings"
    )
    draft = models.ForeignKey(Draft, models.SET_NULL, null=True, blank=True, related_name="savings")
    entry = models.ForeignKey(Entry, models.PROTECT, null=True, blank=True, related_name="savings")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(
                fields=["next_tick_at"],
                name="vms_saving_due",
                condition=Q(next_tick_at__isnull=False),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=SavingState.values), name="vms_saving_state"
            )
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def owner_pk(self) -> int | None:
        return self.vm.owner_id

    @property
    def cloud(self) -> str:
        return self.vm.cloud

    @property
    def is_open(self) -> bool:
        """Whether the machine is, or will be, saved."""
        return self.state in OPEN

    @property
    def is_losable(self) -> bool:
        """Whether a kill of the machine would lose it."""
        return self.state in LOSABLE

    @property
    def meaning(self) -> str:
        return SAVING_MEANINGS[self.state]

    def audience(self) -> tuple[int, ...]:
        return (self.vm.owner_id,)

    def announce(self) -> None:
        self.vm.announce()  # pages show machines
