"""Wishes to open an entry to everybody, for programs."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.conf import settings
from ninja import Field, Router, Schema, Status

from marketplace import actions
from marketplace.actions.opening import LONGEST_MESSAGE
from marketplace.models import Entry, Publication
from marketplace.states import PublicationState
from registration.bearer import ApiRequest
from registration.doors import find_or_404

router = Router()

MOST_ROWS = 100


class PublicationOut(Schema):
    uuid: UUID
    entry: UUID
    identifier: str = Field(description="Of the image")
    title: str
    state: PublicationState
    state_since: datetime
    reason: str = Field(description="What an administrator wrote who rejected it, or why it ended")
    message: str = Field(description="What you wrote to the administrators")
    created_at: datetime
    answered_at: datetime | None
    url: str = Field(description="The page of the entry")


class PublicationIn(Schema):
    entry: UUID = Field(description="Of your own")
    message: Annotated[str, Field(max_length=LONGEST_MESSAGE)] = Field(
        "", description="To the administrators"
    )
    knows: bool = Field(
        False, description="You have read what was found in its disk; GET /disks/UUID/report"
    )


def _out(wish: Publication) -> dict[str, Any]:
    same = ("uuid", "state", "state_since", "reason", "message", "created_at", "answered_at")
    return {name: getattr(wish, name) for name in same} | {
        "entry": wish.entry.uuid,
        "identifier": wish.entry.identifier,
        "title": wish.entry.title,
        "url": f"{settings.PORTAL_URL}{wish.entry.permalink}",
    }


@router.get("/publications", response=list[PublicationOut], url_name="publications",
            summary="Your wishes to open entries to everybody, the newest first")  # fmt: skip
def list_publications(request: ApiRequest) -> list[dict[str, Any]]:
    """A hundred at most."""
    mine = Publication.objects.filter(owner=request.user).select_related("entry")
    return [_out(wish) for wish in mine.order_by("-pk")[:MOST_ROWS]]


@router.post("/publications", response={201: PublicationOut},
             summary="Ask that everybody may read an entry of yours")  # fmt: skip
def ask_publication(request: ApiRequest, wanted: PublicationIn) -> Status[dict[str, Any]]:
    """Where the site has administrators answer. Asked twice, it is one wish."""
    own = Entry.objects.filter(owner=request.user).select_related("said_again_of")
    entry = find_or_404(own, request, "asked", uuid=wanted.entry)
    wish = actions.ask_publication(
        entry, by=request.user, message=wanted.message, knows=wanted.knows
    )
    return Status(201, _out(wish))
