"""Letters about quotas, groups, and disks that change hands."""

from registration.letters.kind import LINK, REASON, THE_REASON, Kind
from registration.letters.placeholders import PERSON, Placeholder, link, quote

LIMITS = Placeholder("limits", "what was asked for", "20 machines, 65,536 MiB of memory")


OTHERS: tuple[Kind, ...] = (
    Kind(
        "wish_asked",
        "Somebody asks for more quota",
        "To every administrator, for each wish; with PORTAL_REGISTRATION_MAILS=daily the mail of "
        "each morning tells it.",
        (*PERSON, LIMITS,
         quote("message", "why they ask", "We fit ten galaxies at the same time now."),
         link("where one answers", "/registrations/wishes/", "Grant or decline")),
        "{name} ({username}) asks for more quota",
        """\
{name} ({username}) asks for more quota:

{limits}

Why:

{message}

Answer here, after signing in:

{link}""",
        LINK,
    ),
    Kind(
        "wish_granted",
        "More quota granted",
        "To the person.",
        (*PERSON, LIMITS, Placeholder("answer", "whether all of it was granted",
                                       "It was granted; you may use it at once.")),
        "Your quota is larger",
        """\
Dear {name},

you asked for more quota: {limits}. {answer}""",
        frozenset({"answer"}),
    ),
    Kind(
        "wish_declined",
        "More quota declined",
        "To the person, with the reason.",
        (*PERSON, LIMITS, THE_REASON),
        "Your quota stays as it is",
        """\
Dear {name},

you asked for more quota: {limits}. It was not granted. The administrator wrote:

{reason}""",
        REASON,
    ),
    Kind(
        "invited",
        "Invitation to a group",
        "To a person or an address that a member invites. To an address, nothing tells whether "
        "it has an account.",
        (Placeholder("greeting", "Dear and the name, or Hello", "Dear Jane Doe,"),
         Placeholder("inviter", "who invites", "Ali Ben (ali)"),
         Placeholder("group", "the name of the group", "galaxies"),
         Placeholder("about", "what it is about; empty to an address", "It is about: galaxies"),
         Placeholder("until", "when the invitation ends", "4 December 2026"),
         Placeholder("newcomer", "what to do without an account; empty for who has one",
                     "If you have no account yet, ask for one first: the invitation waits."),
         link("where one accepts or declines", "/groups/join/…/", "Answer the invitation")),
        "An invitation to the group {group}",
        """\
{greeting}

{inviter} invites you to the group {group} on {site}.
{about}

Answer here, until {until}:

{link}

Opening the page changes nothing; you accept or decline there. If you know nothing of this, do \
nothing.

{newcomer}""",
        LINK,
    ),
    Kind(
        "disk_offered",
        "A disk is offered",
        "To a person whom the owner of a disk offers it to.",
        (*PERSON,
         Placeholder("giver", "who offers it", "Ali Ben (ali)"),
         Placeholder("disk", "what the disk is called", "spectra 2025"),
         Placeholder("size", "how large it is", "20 GiB"),
         link("where one accepts or declines", "/volumes/offers/", "Answer the offer")),
        "{giver} offers you a disk",
        """\
Dear {name},

{giver} offers you the disk {disk} of {size}. If you accept it, it is yours with its snapshots, \
counts in your quota, and {giver} no longer has it.

Answer here, after signing in:

{link}

Until you accept, nothing changes. If you know nothing of this, decline it or do nothing.""",
        LINK,
    ),
    Kind(
        "disk_offer_answered",
        "Answer to the offer of a disk",
        "To the person who offered it.",
        (*PERSON,
         Placeholder("who", "whom it was offered to", "Jane Doe (jane)"),
         Placeholder("disk", "what the disk is called", "spectra 2025"),
         Placeholder("answer", "what they did", "accepted. It is theirs now")),
        "The disk {disk}: {who} answered",
        """\
Dear {name},

you offered the disk {disk} to {who}, who {answer}.""",
        frozenset({"answer"}),
    ),
    Kind(
        "notice",
        "Notification",
        "To a person, of what happens to what is theirs, if they want this kind by mail.",
        (*PERSON,
         Placeholder("title", "what happened, in two or three words", "Machine ready"),
         Placeholder("about", "a colon and the name of what it is about, or empty", ": web-1"),
         Placeholder("sentence", "what happened", "The machine web-1 is ready."),
         link("the page that it is about", "/vms/…/", "Open it in the portal"),
         link("where one chooses which notifications go by mail", "/profile/notifications/",
              "Choose your mails", "choices")),
        "{title}{about}",
        """\
Dear {name},

{sentence}

{link}

You choose here which notifications come by mail:

{choices}""",
        frozenset({"sentence"}),
    ),
)  # fmt: skip
