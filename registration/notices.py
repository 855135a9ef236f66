"""What people are told of: each kind of notification with its words, and how it goes by mail."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Mail(StrEnum):
    """Whether a kind of notification goes by mail, too."""

    NO = "no"  # unless the person asks for it
    YES = "yes"  # until the person asks for none
    ALWAYS = "always"  # without it, something of the person's would be lost


@dataclass(frozen=True, slots=True)
class Notice:
    """One kind. ``has_letter``: its mail is another than the notification's own words, and is
    written by who tells; ``is_bad``: it tells of something that went wrong."""

    name: str
    title: str
    when: str  # one is told of it, as a sentence
    icon: str
    mail: Mail = Mail.NO
    has_letter: bool = False
    is_bad: bool = False

    def __str__(self) -> str:
        return self.title


_NOTICES = (
    Notice(
        "machine_ready", "Machine ready",
        "A machine of yours has started: its SSH answers, and it is set up. Of a batch or a "
        "cluster, webhooks alone are told of each.", "machine",
    ),
    Notice(
        "machine_failed", "Machine failed",
        "A machine of yours could not be started, or was lost.", "error", is_bad=True,
    ),
    Notice(
        "batch_ready", "Batch ready",
        "Of machines that were launched together: all are ready, or have failed. Once, instead of "
        "for each.", "machine",
    ),
    Notice(
        "lease_ending", "Lease ending",
        "The lease of a machine of yours ends soon, and it will be shut down.", "clock", Mail.YES,
    ),
    Notice(
        "lease_ended", "Lease ended",
        "A machine of yours was shut down, and will be removed with its disk.", "clock",
        Mail.ALWAYS, is_bad=True,
    ),
    Notice(
        "image_created", "Image created",
        "The disk of a machine of yours is saved as an image. The mail has the draft of its "
        "metadata.", "image", Mail.ALWAYS, has_letter=True,
    ),
    Notice(
        "image_failed", "Image failed",
        "The disk of a machine of yours could not be saved as an image.", "error", Mail.YES,
        is_bad=True,
    ),
    Notice(
        "build_failed", "Building of an image failed",
        "A step of the automated creation of an image failed.", "error", Mail.YES, is_bad=True,
    ),
    Notice(
        "cluster_ready", "Cluster ready",
        "All machines of a cluster of yours are set up and know each other.", "users",
    ),
    Notice(
        "cluster_failed", "Cluster not set up",
        "A cluster of yours did not come to be.", "error", is_bad=True,
    ),
    Notice(
        "disk_imported", "Disk imported",
        "A disk that you uploaded or had fetched is ready, or could not be taken in.", "disk",
    ),
    Notice(
        "entry_expiring", "Endorsement about to end",
        "What you vouch for in the Marketplace is no longer valid soon.", "clock", Mail.YES,
        has_letter=True,
    ),
    Notice(
        "entries_endorsed", "List of what you endorse",
        "Now and then, if the site wants it: which images you vouch for.", "book", Mail.YES,
        has_letter=True,
    ),
    Notice(
        "image_deprecated", "Image deprecated",
        "The endorser of an image that you launched advises against it.", "warning", Mail.YES,
        has_letter=True, is_bad=True,
    ),
    Notice(
        "webhook_off", "Webhook switched off",
        "A webhook of yours did not answer for days.", "warning", Mail.YES, is_bad=True,
    ),
)  # fmt: skip

#: In the order in which people choose.
NOTICES: Mapping[str, Notice] = {notice.name: notice for notice in _NOTICES}
#: What a trial delivery of a webhook is called; nobody is told of it.
TEST = "test"
