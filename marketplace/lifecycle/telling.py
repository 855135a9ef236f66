"""Tell those who launched an image by an endorser's word that this endorser has deprecated it.

Anybody may endorse any image, so the word of others is no mail to them.
"""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from marketplace.identifiers import is_identifier
from marketplace.lifecycle.reminders import line_of, may_see
from marketplace.models import Entry, Reminder, Use
from marketplace.states import EntryStatus, Visibility
from registration import emails, names
from registration.actions import notify, wants_mail
from registration.models import User

#: Who has launched an image since then uses it.
USED_WITHIN = timedelta(days=90)
#: Nobody is told more often about what one endorser says of one image.
AGAIN_AFTER = timedelta(days=7)
#: What was deprecated before that is no news.
NEWS_FOR = timedelta(days=7)
ABOUT = "deprecated"
#: What is sent of a reason that would make the mail its writer's.
LINKED = "The reason has a link in it: read it on the page of the image."


def tell() -> int:
    """Write to whoever has not been told yet; how many mails were written."""
    now = timezone.now()
    deprecated = Entry.objects.newest().with_status(EntryStatus.DEPRECATED)
    used = Use.objects.filter(last_at__gt=now - USED_WITHIN).values("entry__identifier")
    news = deprecated.filter(uploaded_at__gt=now - NEWS_FOR, identifier__in=used)
    return sum(_tell_of(entry) for entry in news)


def _tell_of(entry: Entry) -> int:
    now = timezone.now()
    said = Entry.objects.filter(identifier=entry.identifier, endorser_email=entry.endorser_email)
    told = Reminder.objects.filter(
        Q(entry=entry) | Q(at__gt=now - AGAIN_AFTER), about=ABOUT, entry__in=said
    ).values("to")
    uses = Use.objects.filter(entry__in=said, last_at__gt=now - USED_WITHIN)
    users = User.objects.active().filter(pk__in=uses.values("user")).exclude(pk__in=told)
    return sum(_tell_one(entry, user) for user in users if may_see(user, entry))


def _tell_one(entry: Entry, user: User) -> int:
    label, link = line_of(entry)
    said = {"entry": entry, "about": ABOUT, "at": timezone.now(), "to": user}
    with transaction.atomic():
        key = f"{ABOUT}:{entry.pk}:{user.pk}"
        if not Reminder.objects.get_or_create(key=key, defaults=said)[1]:
            return 0
        notify(
            user,
            "image_deprecated",
            sentence=f"The image {label[:120]}, which you launched, is deprecated by its endorser.",
            url=entry.permalink,
            identifier=entry.identifier,
        )
        if not wants_mail(user, "image_deprecated"):
            return 0
        name, address = entry.endorser_name, entry.endorser_email
        emails.image_deprecated(
            user,
            image=label,
            endorser=f"{name} ({address})" if name and not names.has_link(name) else address,
            reason=LINKED if names.has_link(entry.deprecated) else entry.deprecated,
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
