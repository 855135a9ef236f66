"""Tell those who use an image that its endorser has deprecated it."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from marketplace.identifiers import is_identifier
from marketplace.lifecycle.reminders import line_of
from marketplace.models import Entry, Reminder, Use
from marketplace.states import EntryStatus, Visibility
from registration import emails
from registration.models import User

#: Who has launched an image since then uses it.
USED_WITHIN = timedelta(days=90)
#: What was deprecated before that is no news.
NEWS_FOR = timedelta(days=7)
ABOUT = "deprecated"


def tell() -> int:
    """Write to whoever has not been told yet; how many mails were written."""
    now = timezone.now()
    deprecated = Entry.objects.newest().with_status(EntryStatus.DEPRECATED)
    used = Use.objects.filter(last_at__gt=now - USED_WITHIN).values("identifier")
    news = deprecated.filter(uploaded_at__gt=now - NEWS_FOR, identifier__in=used)
    return sum(_tell_of(entry) for entry in news if _counts(entry))


def _counts(entry: Entry) -> bool:
    """Whether it is the word of the image's own endorser: of the site, of who vouched for it
    first, or of the last who did. Anybody may endorse an image, and not everybody's change of
    mind is a mail to all who use it.
    """
    if entry.is_official:
        return True
    same = Entry.objects.filter(identifier=entry.identifier)
    first = same.order_by("uploaded_at", "pk").values_list("endorser_email", flat=True).first()
    if first == entry.endorser_email:
        return True
    return same.newest().history().first() == entry and not same.launchable().exists()


def _tell_of(entry: Entry) -> int:
    since = timezone.now() - USED_WITHIN
    told = Reminder.objects.filter(entry=entry, about=ABOUT).values("to")
    uses = Use.objects.filter(identifier=entry.identifier, last_at__gt=since)
    users = User.objects.active().filter(pk__in=uses.values("user")).exclude(pk__in=told)
    return sum(_tell_one(entry, user) for user in users if _may_see(user, entry))


def _may_see(user: User, entry: Entry) -> bool:
    if entry.visibility == Visibility.PUBLIC:
        return True
    return Entry.objects.visible_to(user).filter(pk=entry.pk).exists()


def _tell_one(entry: Entry, user: User) -> int:
    label, link = line_of(entry)
    said = {"entry": entry, "about": ABOUT, "at": timezone.now(), "to": user}
    with transaction.atomic():
        key = f"{ABOUT}:{entry.pk}:{user.pk}"
        if not Reminder.objects.get_or_create(key=key, defaults=said)[1]:
            return 0
        who = f"{entry.endorser_name} ({entry.endorser_email})"
        emails.image_deprecated(
            user,
            image=label,
            endorser=who if entry.endorser_name else entry.endorser_email,
            reason=entry.deprecated,
            instead=_instead(entry),
            link=link,
        )
    return 1


def _instead(entry: Entry) -> str:
    """What replaces it, if the endorser names an image that is there."""
    if not is_identifier(entry.is_replaced_by):
        return ""
    others = Entry.objects.filter(identifier=entry.is_replaced_by, visibility=Visibility.PUBLIC)
    other = others.launchable().first()
    if other is None:
        return ""
    label, _ = line_of(other)
    return f"In its place, the endorser recommends {label}: {settings.PORTAL_URL}{other.permalink}"
