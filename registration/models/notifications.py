"""What people were told, what they want to be told how, and where else it goes."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from core.machine import Stateful
from registration.models.people import User
from registration.notices import NOTICES, TEST, Notice
from registration.states import (
    DELIVERY_DEADLINES,
    DELIVERY_MOVES,
    DELIVERY_VERBS,
    DeliveryState,
)


class NotificationQuerySet(models.QuerySet["Notification"]):
    def visible_to(self, user: Any) -> Self:
        """A person's own; nobody else's, an administrator's neither."""
        return self.filter(owner=user) if user.is_authenticated else self.none()

    def unread(self) -> Self:
        return self.filter(read_at=None)

    def latest_of(self, user: User, most: int) -> "list[Notification]":
        """The newest of ``user``, each with ``unread``: how many there are; in one query."""
        unread = Notification.objects.filter(owner=OuterRef("owner"), read_at=None)
        counted = unread.order_by().values("owner").annotate(many=Count("pk")).values("many")
        rows: Any = self.filter(owner=user)
        rows = rows.annotate(unread=Coalesce(Subquery(counted), 0))
        return list(rows.order_by("-pk")[:most])


class Notification(models.Model):
    """One thing that one person was told, written in the transaction that it tells of."""

    KIND: ClassVar[str] = "notification"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    owner = models.ForeignKey(User, models.CASCADE, related_name="notifications", db_index=False)
    kind = models.CharField(max_length=30)  # of registration.notices
    sentence = models.CharField(max_length=300)
    url = models.CharField(max_length=300, blank=True)  # a path of this site
    about_kind = models.CharField(max_length=40, blank=True)
    about = models.UUIDField(null=True, blank=True)
    about_name = models.CharField(max_length=100, blank=True)  # as it was called then
    data = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    read_at = models.DateTimeField(null=True, blank=True)

    objects = NotificationQuerySet.as_manager()

    unread: int  # of its owner, where ``latest_of`` found it

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["owner", "-id"], name="registration_note_latest"),
            models.Index(
                fields=["owner"], condition=Q(read_at=None), name="registration_note_unread"
            ),
            models.Index(fields=["created_at"], name="registration_note_age"),
        ]

    def __str__(self) -> str:
        return self.sentence

    @property
    def notice(self) -> Notice:
        """Its kind; of one that a later release no longer has, as much as is known."""
        return NOTICES.get(self.kind) or Notice(self.kind, "Notification", "", "info")


class NoticeChoice(models.Model):
    """What a person wants by mail, where it is not what the table of kinds says."""

    owner = models.ForeignKey(User, models.CASCADE, related_name="notice_choices")
    kind = models.CharField(max_length=30)
    by_mail = models.BooleanField()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "kind"], name="registration_choice_once")
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.owner}: {'mail' if self.by_mail else 'no mail'}"


class WebhookQuerySet(models.QuerySet["Webhook"]):
    def visible_to(self, user: Any) -> Self:
        """A person's own; nobody else's, an administrator's neither."""
        return self.filter(owner=user) if user.is_authenticated else self.none()


class Webhook(models.Model):
    """An address of a person's that is told of what the person is told of."""

    KIND: ClassVar[str] = "webhook"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    owner = models.ForeignKey(User, models.CASCADE, related_name="webhooks")
    url = models.CharField("address", max_length=500)
    kinds = models.JSONField(default=list)  # of registration.notices
    is_on = models.BooleanField(default=True)
    sealed_secret = models.TextField()  # by registration.sealing: what it signs with
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # Since when nothing was delivered although it was tried; null: the latest was.
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    # After it did not answer, nothing else is tried until then.
    rests_until = models.DateTimeField(null=True, blank=True, editable=False)
    off_reason = models.CharField(max_length=300, blank=True, editable=False)

    objects = WebhookQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.url

    @property
    def notices(self) -> list[Notice]:
        """What it is told of."""
        return [notice for name, notice in NOTICES.items() if name in self.kinds]


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def visible_to(self, user: Any) -> Self:
        if not user.is_authenticated:
            return self.none()
        return self.filter(webhook__owner=user)


class Delivery(Stateful):
    """One notification on its way to one webhook. ``next_tick_at`` is its next try."""

    KIND = "delivery"
    MOVES = DELIVERY_MOVES
    DEADLINES = DELIVERY_DEADLINES

    state = models.CharField(max_length=12, choices=DeliveryState, default=DeliveryState.WAITING)
    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries", db_index=False)
    notification = models.ForeignKey(
        Notification, models.SET_NULL, null=True, blank=True, related_name="deliveries"
    )
    kind = models.CharField(max_length=30)  # of registration.notices, or TEST
    body = models.TextField()  # JSON, as it is sent at every try
    tries = models.PositiveSmallIntegerField(default=0)  # since it waits
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(
                fields=["next_tick_at"],
                name="registration_delivery_due",
                condition=Q(next_tick_at__isnull=False),
            ),
            models.Index(fields=["webhook", "-id"], name="registration_delivery_latest"),
            models.Index(fields=["created_at"], name="registration_delivery_age"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=DeliveryState.values), name="registration_delivery_state"
            )
        ]

    def __str__(self) -> str:
        return f"{self.title} to {self.webhook}"

    @property
    def title(self) -> str:
        if self.kind == TEST:
            return "Test"
        return NOTICES[self.kind].title if self.kind in NOTICES else self.kind

    @property
    def owner_pk(self) -> int | None:
        return self.webhook.owner_id

    @property
    def verbs(self) -> frozenset[str]:
        return frozenset(verb for verb, states in DELIVERY_VERBS.items() if self.state in states)

    @property
    def next_try_at(self) -> datetime | None:
        return self.next_tick_at if self.state == DeliveryState.WAITING else None

    def audience(self) -> tuple[int, ...]:
        return (self.webhook.owner_id,)


class DeliveryTry(models.Model):
    """One attempt at a delivery; without an end where the worker was killed in the middle."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    began_at = models.DateTimeField(default=timezone.now, editable=False)
    took_ms = models.PositiveIntegerField(null=True, blank=True)
    status = models.PositiveSmallIntegerField(null=True, blank=True)  # of HTTP; null: no answer
    answer = models.CharField(max_length=500, blank=True)  # how it began
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["pk"]
        verbose_name_plural = "delivery tries"
        constraints = [
            models.UniqueConstraint(fields=["delivery", "number"], name="registration_try_once")
        ]

    def __str__(self) -> str:
        return f"try {self.number} of {self.delivery_id}"


def choices_of(user: User) -> Mapping[str, bool]:
    """What ``user`` has chosen about mails, by kind; the rest is as the table of kinds says."""
    rows = NoticeChoice.objects.filter(owner=user)
    return dict(rows.values_list("kind", "by_mail"))
