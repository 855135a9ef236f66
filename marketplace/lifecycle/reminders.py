"""What endorsers and users of images are told by mail, once each: no life, an hourly look.

The row that says that somebody was told is written with the mail: whoever is faster tells.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Lower
from django.urls import reverse
from django.utils import timezone

from marketplace.models import Entry, Reminder
from marketplace.states import EntryStatus, Visibility
from registration import emails, names
from registration.actions import notify, wants_mail
from registration.models import User

#: So long before the end of validity an endorser is told. Source: stratuslab.md 6.10.
BEFORE = timedelta(days=3)
#: Lines of one mail; the page that it links to has all.
MOST_LISTED = 50


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a mail: somebody with an account, or whoever has an address."""

    email: str
    person: User | None = None

    @property
    def key(self) -> str:
        if self.person is not None:
            return str(self.person.pk)
        return f"mail-{sha256(self.email.lower().encode()).hexdigest()[:32]}"


def remind() -> int:
    """Tell endorsers what is about to end, and now and then what they vouch for; mails written."""
    return _tell_ends() + _tell_lists()


def _tell_ends() -> int:
    now = timezone.now()
    valid = Entry.objects.newest().with_status(EntryStatus.VALID)
    ends = valid.filter(valid_until__lte=now + BEFORE).select_related("owner").order_by("pk")
    # What was vouched for no longer than that was meant to end soon.
    lasting = [one for one in ends if one.valid_until and one.valid_until - one.created_at > BEFORE]
    told = 0
    for reader, entries in _by_reader(lasting).items():
        with transaction.atomic():
            told += _send_ends(reader, entries)
    return told


def _send_ends(reader: Reader, entries: list[Entry]) -> int:
    fresh = [
        one for one in entries if _remember(f"expiry:{one.pk}:{reader.key}", one, "expiry", reader)
    ]
    if not fresh:
        return 0
    lines = [
        f"{line_of(one)[0]}, until {_day(one.valid_until)}: {line_of(one)[1]}" for one in fresh
    ]
    link = _url("marketplace:endorser", fresh[0].endorser_email)
    if not _tell_person(reader, "entry_expiring", fresh, "What you vouch for ends soon"):
        return 0
    emails.images_expiring(reader.email, reader.person, images=_shortened(lines), link=link)
    return 1


def _tell_person(reader: Reader, kind: str, entries: list[Entry], what: str) -> bool:
    """In the portal, whoever has an account; whether they want the mail as well."""
    if reader.person is None:
        return True
    first, more = entries[0], len(entries) - 1
    others = f" and {more:,} other{'s' if more > 1 else ''}" if more else ""
    notify(
        reader.person,
        kind,
        sentence=f"{what}: {line_of(first)[0][:120]}{others}.",
        url=reverse("marketplace:endorser", args=[first.endorser_email]),
        identifiers=[one.identifier for one in entries[:MOST_LISTED]],
    )
    return wants_mail(reader.person, kind)


def _tell_lists() -> int:
    days = settings.PORTAL_ENDORSER_DAYS
    if days <= 0:
        return 0
    since = timezone.now() - timedelta(days=days)
    sent = Reminder.objects.filter(about="list", at__gt=since).values_list("key", flat=True)
    lately = {key.split(":")[1] for key in sent}
    valid = Entry.objects.newest().with_status(EntryStatus.VALID).filter(is_official=False)
    rows = valid.select_related("owner").defer("description", "words").order_by("-created_at")
    told = 0
    for reader, entries in _by_reader(rows).items():
        if reader.key in lately or min(one.uploaded_at for one in entries) > since:
            continue
        with transaction.atomic():
            told += _send_list(reader, entries)
    return told


def _send_list(reader: Reader, entries: list[Entry]) -> int:
    today = timezone.now().date()
    key = f"list:{reader.key}:{today}"
    if not _remember(key, entries[0], "list", reader):
        return 0
    lines = [
        f"{line_of(one)[0]}, endorsed on {_day(one.created_at)}: {line_of(one)[1]}"
        for one in entries
    ]
    link = _url("marketplace:endorser", entries[0].endorser_email)
    if not _tell_person(reader, "entries_endorsed", entries, "You vouch for"):
        return 0
    emails.images_endorsed(reader.email, reader.person, images=_shortened(lines), link=link)
    return 1


def _by_reader(entries: Iterable[Entry]) -> dict[Reader, list[Entry]]:
    """Entries by who is told of them: endorsers; the administrators, of the site's own."""
    entries = list(entries)
    people = _people({one.endorser_email.lower() for one in entries})
    administrators = list(User.objects.administrators())
    found: dict[Reader, list[Entry]] = defaultdict(list)
    for one in entries:
        for reader in _readers(one, people, administrators):
            found[reader].append(one)
    return found


def _readers(entry: Entry, people: dict[str, User], administrators: list[User]) -> Iterator[Reader]:
    """Where it was imported from, others remind who has no account here."""
    person = people.get(entry.endorser_email.lower())
    if entry.is_official:
        yield from (Reader(one.email, one) for one in administrators)
    elif person is not None and may_see(person, entry):
        yield Reader(person.email, person)
    elif entry.source_id is None and entry.owner is not None and entry.owner.is_active:
        yield Reader(entry.owner.email, entry.owner)
    elif entry.source_id is None and entry.owner is None and person is None:
        yield Reader(entry.endorser_email)


def may_see(person: User, entry: Entry) -> bool:
    """An address that went to somebody else does not take private images along."""
    if entry.visibility == Visibility.PUBLIC or entry.owner_id == person.pk:
        return True
    return Entry.objects.visible_to(person).filter(pk=entry.pk).exists()


def _people(addresses: set[str]) -> dict[str, User]:
    """Who has shown that one of these addresses is theirs."""
    rows = User.objects.active().filter(email_confirmed_at__isnull=False)
    known = rows.alias(address=Lower("email")).filter(address__in=addresses)
    return {one.email.lower(): one for one in known}


def _remember(key: str, entry: Entry, about: str, reader: Reader) -> bool:
    """Whether nobody was told this before us."""
    said = {"entry": entry, "about": about, "at": timezone.now(), "to": reader.person}
    return Reminder.objects.get_or_create(key=key, defaults=said)[1]


def line_of(entry: Entry) -> tuple[str, str]:
    """What an image is called in a mail, and where its page is.

    A title with a link in it would make the mail its writer's.
    """
    label = entry.identifier if names.has_link(entry.label) else entry.label
    return " ".join(label.split()), f"{settings.PORTAL_URL}{entry.permalink}"


def _shortened(lines: list[str]) -> list[str]:
    if len(lines) <= MOST_LISTED:
        return lines
    return [*lines[:MOST_LISTED], f"and {len(lines) - MOST_LISTED:,} more"]


def _day(at: datetime | None) -> str:
    return f"{at:%-d %B %Y}" if at else ""


def _url(name: str, *args: str) -> str:
    return f"{settings.PORTAL_URL}{reverse(name, args=args)}"
