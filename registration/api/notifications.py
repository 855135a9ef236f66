"""What a person is told, and their webhooks, for programs."""

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404
from ninja import Field, Query, Router, Schema, Status

from registration import actions
from registration.actions.webhooks import LONGEST_URL
from registration.bearer import ApiRequest
from registration.doors import find_or_404
from registration.models import Delivery, Notification, Webhook

router = Router()

MOST_ROWS = 100


class About(Schema):
    kind: str
    uuid: UUID
    name: str = Field(description="As it was called then")


class NotificationOut(Schema):
    uuid: UUID
    kind: str = Field(description="Such as machine_ready; the page of your choices lists all")
    sentence: str
    url: str = Field(description="The page that it is about, or blank")
    about: About | None = Field(description="What it is about, if that is a thing of its own")
    data: dict[str, Any] = Field(description="More of it, by kind")
    created_at: datetime
    read_at: datetime | None

    @staticmethod
    def resolve_about(note: Notification) -> Any:
        if note.about is None:
            return None
        return {"kind": note.about_kind, "uuid": note.about, "name": note.about_name}


class Notifications(Schema):
    items: list[NotificationOut]
    page: int
    pages: int
    total: int


class Paged(Schema):
    page: Annotated[int, Field(ge=1)] = Field(1, description="The first is 1")
    page_size: Annotated[int, Field(ge=1, le=MOST_ROWS)] = Field(
        25, description="How many on a page"
    )


class Wanted(Paged):
    kind: Annotated[str, Field(max_length=30)] = Field("", description="Only this kind")
    unread: bool = Field(False, description="Only what was not read yet")


class ReadOut(Schema):
    read: int = Field(description="How many were unread")


class WebhookOut(Schema):
    uuid: UUID
    url: str
    kinds: list[str]
    is_on: bool
    off_reason: str = Field(description="Why the portal switched it off, or blank")
    failing_since: datetime | None = Field(description="Since when nothing was delivered")
    created_at: datetime


class WebhookMade(WebhookOut):
    secret: str = Field(description="What it signs with. It is not shown again")


class WebhookIn(Schema):
    url: Annotated[str, Field(max_length=LONGEST_URL)] = Field(description="https://…")
    kinds: list[str] = Field(description="What it is told of")


class WebhookChange(WebhookIn):
    is_on: bool = Field(True, description="Switched off, it is told nothing")


class TryOut(Schema):
    number: int
    began_at: datetime
    took_ms: int | None
    status: int | None = Field(description="Of HTTP; null: there was no answer")
    answer: str = Field(description="How the answer began")
    error: str


class DeliveryOut(Schema):
    uuid: UUID = Field(description="As in X-StratusLab-Delivery, the same for every try")
    kind: str
    state: str = Field(description="waiting, delivered or given_up")
    state_since: datetime
    reason: str
    tries: int
    next_try_at: datetime | None
    created_at: datetime
    body: dict[str, Any]
    attempts: list[TryOut]

    @staticmethod
    def resolve_body(delivery: Delivery) -> Any:
        return json.loads(delivery.body)

    @staticmethod
    def resolve_attempts(delivery: Delivery) -> Any:
        return delivery.attempts.all()


class Deliveries(Schema):
    items: list[DeliveryOut]
    page: int
    pages: int
    total: int


def _paged(rows: QuerySet[Any], wanted: Paged) -> dict[str, Any]:
    paginator = Paginator(rows, wanted.page_size)
    if wanted.page > paginator.num_pages:
        raise Http404
    page = paginator.page(wanted.page)
    return {
        "items": list(page.object_list),
        "page": page.number,
        "pages": paginator.num_pages,
        "total": paginator.count,
    }


@router.get("/notifications", response=Notifications, url_name="notifications",
            summary="What you were told, the newest first")  # fmt: skip
def list_notifications(request: ApiRequest, wanted: Query[Wanted]) -> dict[str, Any]:
    rows = Notification.objects.visible_to(request.user).order_by("-pk")
    if wanted.kind:
        rows = rows.filter(kind=wanted.kind)
    return _paged(rows.unread() if wanted.unread else rows, wanted)


@router.post("/notifications/read", response=ReadOut, url_name="notifications_read",
             summary="Mark all notifications as read")  # fmt: skip
def read_all(request: ApiRequest) -> dict[str, int]:
    return {"read": actions.read_notifications(request.user)}


@router.post("/notifications/{uuid:notification}/read", response=NotificationOut,
             summary="Mark a notification as read", url_name="notification_read")  # fmt: skip
def read_one(request: ApiRequest, notification: UUID) -> Notification:
    own = Notification.objects.visible_to(request.user)
    note = find_or_404(own, request, uuid=notification)
    actions.read_notifications(request.user, only=note)
    note.refresh_from_db()
    return note


@router.get("/webhooks", response=list[WebhookOut], summary="Your webhooks", url_name="webhooks")
def list_webhooks(request: ApiRequest) -> list[Webhook]:
    return list(Webhook.objects.visible_to(request.user))


@router.post("/webhooks", response={201: WebhookMade}, summary="Add a webhook")
def add_webhook(request: ApiRequest, wanted: WebhookIn) -> Status[dict[str, Any]]:
    hook, secret = actions.add_webhook(owner=request.user, url=wanted.url, kinds=wanted.kinds)
    known = WebhookOut.from_orm(hook).dict()
    return Status(201, known | {"secret": secret})


@router.get("/webhooks/{uuid:webhook}", response=WebhookOut, summary="One webhook",
            url_name="webhook")  # fmt: skip
def one_webhook(request: ApiRequest, webhook: UUID) -> Webhook:
    return _find(request, webhook)


@router.put("/webhooks/{uuid:webhook}", response=WebhookOut, summary="Change a webhook")
def change_webhook(request: ApiRequest, webhook: UUID, wanted: WebhookChange) -> Webhook:
    hook = _find(request, webhook)
    actions.change_webhook(
        hook, url=wanted.url, kinds=wanted.kinds, is_on=wanted.is_on, by=request.user
    )
    return _find(request, webhook)


@router.delete("/webhooks/{uuid:webhook}", response={204: None}, summary="Remove a webhook")
def remove_webhook(request: ApiRequest, webhook: UUID) -> Status[None]:
    actions.remove_webhook(_find(request, webhook), by=request.user)
    return Status(204, None)


@router.post("/webhooks/{uuid:webhook}/test", response={202: DeliveryOut}, url_name="webhook_test",
             summary="Send a test to a webhook")  # fmt: skip
def test_webhook(request: ApiRequest, webhook: UUID) -> Status[Delivery]:
    """Look at its deliveries to see what it answered."""
    return Status(202, actions.test_webhook(_find(request, webhook), by=request.user))


@router.get("/webhooks/{uuid:webhook}/deliveries", response=Deliveries, url_name="deliveries",
            summary="What was sent to a webhook, the newest first")  # fmt: skip
def list_deliveries(request: ApiRequest, webhook: UUID, wanted: Query[Paged]) -> dict[str, Any]:
    rows = Delivery.objects.visible_to(request.user).filter(webhook=_find(request, webhook))
    return _paged(rows.prefetch_related("attempts").order_by("-pk"), wanted)


@router.post("/deliveries/{uuid:delivery}/again", response={202: DeliveryOut},
             summary="Send a delivery again", url_name="delivery_again")  # fmt: skip
def send_again(request: ApiRequest, delivery: UUID) -> Status[Delivery]:
    own = Delivery.objects.visible_to(request.user).select_related("webhook__owner")
    row = find_or_404(own, request, uuid=delivery)
    actions.send_again(row, by=request.user)
    return Status(202, row)


def _find(request: ApiRequest, key: UUID) -> Webhook:
    own = Webhook.objects.visible_to(request.user).select_related("owner")
    return find_or_404(own, request, uuid=key)
