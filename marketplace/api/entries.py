"""What is said of images, for programs. What is public needs no token."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, QueryDict
from ninja import Field, Query, Router, Schema

from marketplace import policy
from marketplace.models import Entry, EntryQuerySet
from marketplace.search.asked import MOST_VALUES, SORTS, Asked
from marketplace.search.finding import Found, find
from marketplace.states import EntryStatus, Kind, Trust
from registration.bearer import ApiRequest, Bearer
from registration.doors import find_or_404


def anybody(request: HttpRequest) -> bool:
    """Without a token one sees what everybody sees, whatever session came along."""
    request.user = AnonymousUser()
    return True


router = Router(auth=[Bearer(), anybody])

MOST_ROWS = 100
Values = Annotated[list[str], Field(max_length=MOST_VALUES)]


class EndorserOut(Schema):
    name: str
    email: str


class EntryOut(Schema):
    uuid: UUID
    identifier: str = Field(description="Of the image; others may have endorsed it too")
    title: str
    description: str
    kind: Kind
    os: str
    os_version: str
    os_arch: str
    version: str = Field(description="Of the image")
    tag: str
    endorser: EndorserOut
    creator: str
    publisher: str
    created_at: datetime = Field(description="When it was endorsed")
    valid_until: datetime | None
    status: EntryStatus
    deprecated: str = Field(description="The reason, or blank")
    is_official: bool = Field(description="Endorsed by this site itself")
    trust: Trust = Field(description="What is known of its signature")
    visibility: Literal["public", "group", "private"]
    format: str
    compression: str
    size_bytes: int | None = Field(description="Unpacked; null: not known")
    virtual_size_bytes: int | None = Field(description="What a machine sees; null: not known")
    md5: str
    sha1: str
    sha256: str
    sha512: str
    locations: list[str]
    default_user: str
    min_memory_mib: int
    inbound_ports: list[int]
    may_launch: bool = Field(description="Whether machines may start from it here, now")
    refusal: str = Field(description="Why this site lets no machine start from it, or blank")
    url: str = Field(description="Its page; with ?media=xml its signed document")


class Counted(Schema):
    value: str
    count: int


class Entries(Schema):
    items: list[EntryOut]
    page: int
    pages: int
    total: int
    showing_results_for: str = Field(
        description="What was searched for instead, as nothing has the words given; or blank"
    )
    facets: dict[str, list[Counted]] = Field(
        description="Of each filter, how many entries a value would leave"
    )


class Wanted(Schema):
    q: Annotated[str, Field(max_length=200)] = Field("", description="Words; the last letters of "
        "each may be missing, and mistakes are forgiven")  # fmt: skip
    exact: bool = Field(False, description="Forgive no mistakes")
    os: Values = Field([], description="Any of these; so for the next ones")
    version: Values = Field([], description="Of the operating system")
    arch: Values = Field([], description="Architectures")
    kind: list[Kind] = Field([], description="Kinds")
    endorser: Values = Field([], description="E-mail addresses")
    tag: Values = Field([], description="Tags")
    official: bool = Field(False, description="Only those of this site")
    status: Literal["valid", "expired", "deprecated", "all"] = Field(
        "valid", description="Only these"
    )
    location: Literal["web", "pdisk", "all"] = Field("all", description="Where the bytes are")
    creator: str = Field("", description="Words in the creator or publisher")
    email: str = Field("", description="Part of the endorser's address")
    description: str = Field("", description="Words in the description")
    sort: str = Field(
        "", description=f"relevance, {', '.join(SORTS)}; with a minus the other way round"
    )
    page: Annotated[int, Field(ge=1)] = Field(1, description="The first is 1")
    page_size: Annotated[int, Field(ge=1, le=MOST_ROWS)] = Field(
        25, description="How many on a page"
    )


@router.get("/entries", response=Entries, summary="Search the Marketplace", url_name="entries")
def list_entries(request: ApiRequest, wanted: Query[Wanted]) -> dict[str, Any]:
    """The newest entry of each endorser about each image, those that you may see. A token is
    needed only for entries that are not public."""
    query = QueryDict(mutable=True)
    for name, value in wanted.dict(exclude={"page", "page_size"}).items():
        values = value if isinstance(value, list) else ["1" if value is True else str(value or "")]
        query.setlist(name, [str(one) for one in values])
    found = find(Asked.of(query), request.user, page=wanted.page, size=wanted.page_size)
    return _page(request, found, wanted.page)


def _page(request: HttpRequest, found: Found, wanted: int) -> dict[str, Any]:
    is_there = wanted <= found.page.paginator.num_pages
    return {
        "items": _outs(request, found.entries if is_there else []),
        "page": wanted,
        "pages": found.page.paginator.num_pages,
        "total": found.counts.total,
        "showing_results_for": found.asked.q if found.instead_of else "",
        "facets": {
            name: [{"value": value, "count": n} for value, n in counts.most_common() if n]
            for name, counts in found.counts.of.items()
            if name != "official"
        },
    }


@router.get("/entries/{uuid:entry}", response=EntryOut, summary="One entry", url_name="entry")
def one_entry(request: ApiRequest, entry: UUID) -> dict[str, Any]:
    [out] = _outs(request, [find_or_404(_visible(request), request, uuid=entry)])
    return out


@router.get("/images/{str:identifier}/entries", response=list[EntryOut],
            summary="All that is said of an image, the newest first",
            url_name="image_entries")  # fmt: skip
def image_entries(request: ApiRequest, identifier: str) -> list[dict[str, Any]]:
    """Also what has been replaced since, has expired, or was deprecated; a hundred at most."""
    said = _visible(request).filter(identifier=identifier.replace("\0", "")).history()
    return _outs(request, list(said[:MOST_ROWS]))


def _visible(request: HttpRequest) -> EntryQuerySet:
    return Entry.objects.visible_to(request.user).defer("words")


_SAME = (
    "uuid", "identifier", "title", "description", "kind", "os", "os_version", "os_arch", "version",
    "creator", "publisher", "created_at", "valid_until", "status", "deprecated", "is_official",
    "trust", "visibility", "format", "compression", "size_bytes", "virtual_size_bytes", "md5",
    "sha1", "sha256", "sha512", "locations", "default_user", "min_memory_mib", "inbound_ports",
)  # fmt: skip


def _outs(request: HttpRequest, entries: list[Entry]) -> list[dict[str, Any]]:
    verdicts = policy.verdicts(entries) if entries else {}
    return [
        {name: getattr(entry, name) for name in _SAME}
        | {
            "tag": entry.alternative,
            "endorser": {"name": entry.endorser_name, "email": entry.endorser_email},
            "may_launch": entry.is_latest and entry.is_launchable and not verdicts[entry.pk],
            "refusal": verdicts[entry.pk],
            "url": request.build_absolute_uri(entry.permalink),
        }
        for entry in entries
    ]
