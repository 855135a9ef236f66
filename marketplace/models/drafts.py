"""Metadata on their way to be an entry: drafts, and signed documents that wait."""

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.functional import cached_property

from core.machine import Stateful
from marketplace import documents
from marketplace.models.entries import Entry
from marketplace.states import (
    DOCUMENT_ARRIVAL_DEADLINES,
    DOCUMENT_ARRIVAL_MOVES,
    DRAFT_DEADLINES,
    DRAFT_MOVES,
    DRAFT_VERBS,
    PENDING_DEADLINES,
    PENDING_MOVES,
    ArrivalState,
    DraftSource,
    DraftState,
    PendingState,
)
from volumes.models import Volume


def _due(name: str) -> models.Index:
    return models.Index(fields=["next_tick_at"], name=name, condition=Q(next_tick_at__isnull=False))


class OwnedQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see; anything else is a 404."""
        if not user.is_authenticated:
            return self.none()
        return self if user.is_staff else self.filter(owner=user)


class Draft(Stateful):
    """What somebody is about to say of an image. ``fields`` are the answers of the form."""

    KIND = "draft"
    MOVES = DRAFT_MOVES
    DEADLINES = DRAFT_DEADLINES

    state = models.CharField(max_length=10, choices=DraftState, default=DraftState.WANTED)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="drafts")
    # Chosen by the browser: the same form sent twice makes one draft.
    create_key = models.UUIDField()
    about = models.CharField(max_length=5, choices=DraftSource)
    cloud = models.CharField(max_length=40)
    volume = models.ForeignKey(
        Volume, models.SET_NULL, null=True, blank=True, related_name="drafts"
    )
    url = models.CharField(max_length=500, blank=True)
    based_on = models.ForeignKey(
        Entry, models.PROTECT, null=True, blank=True, related_name="+"
    )  # said again: extended, endorsed by another
    fields = models.JSONField(default=dict, blank=True)

    # Of the image, unpacked.
    identifier = models.CharField(max_length=27, blank=True)
    size_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    virtual_size_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    md5 = models.CharField(max_length=32, blank=True)
    sha1 = models.CharField(max_length=40, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    sha512 = models.CharField(max_length=128, blank=True)
    format = models.CharField(max_length=10, blank=True)
    compression = models.CharField(max_length=3, blank=True)

    bytes_done = models.PositiveBigIntegerField(default=0)
    bytes_total = models.PositiveBigIntegerField(default=0)
    entry = models.ForeignKey(Entry, models.PROTECT, null=True, blank=True, related_name="drafts")
    # Signed with a key of somebody else's address: what they are asked by mail.
    pending = models.ForeignKey(
        "marketplace.Pending", models.SET_NULL, null=True, blank=True, related_name="drafts"
    )
    # Why it may be no image, found while it was measured; a sentence.
    doubt = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [_due("marketplace_draft_due")]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=DraftState.values), name="marketplace_draft_state"
            ),
            models.UniqueConstraint(fields=["owner", "create_key"], name="marketplace_draft_once"),
        ]

    def __str__(self) -> str:
        return str(self.fields.get("title") or "") or f"draft {self.token[:8]}"

    def get_absolute_url(self) -> str:
        return reverse("marketplace:draft", args=[self.uuid])

    def audience(self) -> tuple[int, ...]:
        return (self.owner_id,)

    @property
    def verbs(self) -> frozenset[str]:
        """What its state allows to be asked of it now; nothing while its endorser is asked."""
        if self.is_waiting:
            return frozenset()
        return frozenset(verb for verb, states in DRAFT_VERBS.items() if self.state in states)

    @property
    def is_waiting(self) -> bool:
        """Whether it is signed already, and the owner of the address in it is asked by mail."""
        return (
            self.state == DraftState.READY
            and self.pending is not None
            and self.pending.state == PendingState.WAITING
        )

    @property
    def percent(self) -> int:
        return min(100, self.bytes_done * 100 // self.bytes_total) if self.bytes_total else 0


class Pending(Stateful):
    """A signed document that waits until whoever owns the address in it says yes, by mail.

    Whoever has ``token_hash``'s token may answer, once.
    """

    KIND = "pending"
    MOVES = PENDING_MOVES
    DEADLINES = PENDING_DEADLINES

    state = models.CharField(max_length=10, choices=PendingState, default=PendingState.WAITING)
    # Who sent it; None: a program without an account here.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    xml = models.BinaryField()
    email = models.EmailField(max_length=254)
    identifier = models.CharField(max_length=27)
    endorsed_at = models.DateTimeField()
    deprecates = models.BooleanField(default=False)
    token_hash = models.CharField(max_length=64)
    address = models.CharField(max_length=45, blank=True)  # where it came from
    entry = models.ForeignKey(Entry, models.PROTECT, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [_due("marketplace_pending_due")]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=PendingState.values), name="marketplace_pending_state"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.identifier} by {self.email}"

    @cached_property
    def title(self) -> str:
        """What its document calls the image; "" if it says nothing, or cannot be read any more."""
        xml = bytes(self.xml or b"")
        try:
            return documents.parse(xml, largest_bytes=max(len(xml), 1)).title
        except documents.Broken:
            return ""

    def audience(self) -> tuple[int, ...]:
        return (self.owner_id,) if self.owner_id else ()


class DocumentArrival(Stateful):
    """A metadata document that is fetched from an address that a person gave."""

    KIND = "document"
    MOVES = DOCUMENT_ARRIVAL_MOVES
    DEADLINES = DOCUMENT_ARRIVAL_DEADLINES

    state = models.CharField(max_length=10, choices=ArrivalState, default=ArrivalState.FETCHING)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    cloud = models.CharField(max_length=40)  # whose workers fetch it
    url = models.CharField(max_length=500)
    to_launch = models.BooleanField(default=False)  # what comes is launched; else shown
    xml = models.BinaryField(null=True, blank=True)
    entry = models.ForeignKey(Entry, models.PROTECT, null=True, blank=True, related_name="+")
    # What came waits for its endorser.
    pending = models.ForeignKey(Pending, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [_due("marketplace_document_due")]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=ArrivalState.values), name="marketplace_document_state"
            ),
        ]

    def __str__(self) -> str:
        return self.url[:100]

    def get_absolute_url(self) -> str:
        return reverse("marketplace:arrival", args=[self.uuid])

    def audience(self) -> tuple[int, ...]:
        return (self.owner_id,)
