"""Letters about images: to those who vouch for them, and to those who use them."""

from registration.letters.kind import LINK, Kind
from registration.letters.placeholders import PERSON, Placeholder, Shape, link, quote

GREETING = Placeholder("greeting", "Dear and the name, or Hello", "Dear Jane Doe,")
IMAGE = Placeholder("image", "the title of the image", "Debian 12 minimal")


def _images(means: str, *samples: str) -> Placeholder:
    return Placeholder("images", means, "\n".join(samples), Shape.LIST)


MARKETPLACE: tuple[Kind, ...] = (
    Kind(
        "images_expiring",
        "Endorsements about to end",
        "To an endorser, three days before their images are no longer valid; about the site's own "
        "to the administrators. Once for each endorsement.",
        (GREETING,
         _images("the images, until when, and where each is extended",
                 "Debian 12 minimal, until 4 December 2026: "
                 "https://portal.example.org/marketplace/metadata/…"),
         link("their images", "/marketplace/endorsers/jane.doe@example.org",
              "Look at the images")),
        "Images that you endorsed are valid for three more days",
        """\
{greeting}

you vouch for these images, and what you said of them ends within three days:

{images}

If they are still good, sign in and extend them: open the page of an image and press Extend. If \
they are not, do nothing: afterwards nobody can launch machines from them.

{link}""",
        frozenset({"images"}),
    ),
    Kind(
        "images_endorsed",
        "List of endorsed images",
        "To every endorser, every PORTAL_ENDORSER_DAYS days, if the site wants it.",
        (GREETING,
         _images("the images, since when, and where each is",
                 "Debian 12 minimal, endorsed on 15 January 2026: "
                 "https://portal.example.org/marketplace/metadata/…"),
         link("their images", "/marketplace/endorsers/jane.doe@example.org",
              "Look at the images")),
        "The images that you endorse",
        """\
{greeting}

you vouch for these images:

{images}

Is one of them no longer good, say because it lacks security updates? Then sign in, open its page \
and press Deprecate: nobody launches it any more, and who used it is told.

{link}""",
        frozenset({"images"}),
    ),
    Kind(
        "image_deprecated",
        "An image is deprecated",
        "To everybody who has launched an image in the last 90 days, when its endorser deprecates "
        "it.",
        (GREETING, IMAGE,
         Placeholder("endorser", "who deprecated it", "Ali Ben (ali@example.org)"),
         quote("reason", "why, as the endorser wrote", "It has a hole in OpenSSH."),
         Placeholder("instead", "what replaces it, if the endorser says so; else empty",
                     "In its place, the endorser recommends Debian 13 minimal."),
         link("the page of the image", "/marketplace/metadata/…", "Look at the image")),
        "The image {image} is deprecated",
        """\
{greeting}

you have launched machines from the image {image}. {endorser} has deprecated it, and wrote:

{reason}

{instead}

Machines that run keep running. Think about replacing them by ones from another image: what is \
wrong with the image is wrong with them too.

{link}""",
        LINK,
    ),
    Kind(
        "publication_asked",
        "An entry is to be opened to everybody",
        "To every administrator, for each wish, if PORTAL_PUBLISH_APPROVAL is on; with "
        "PORTAL_REGISTRATION_MAILS=daily the mail of the day tells it.",
        (*PERSON, IMAGE,
         quote("message", "why they ask; may be empty", "For next week's course."),
         link("where one answers", "/marketplace/publications/", "Approve or reject")),
        "{name} ({username}) would publish the image {image}",
        """\
{name} ({username}) would like everybody to read the Marketplace entry of {image}.

{message}

Look at the entry and at what was found in its disk, and answer, after signing in:

{link}""",
        LINK,
    ),
    Kind(
        "publication_approved",
        "An entry was opened to everybody",
        "To the owner of the entry, when an administrator approves.",
        (GREETING, IMAGE, link("the entry", "/marketplace/metadata/…", "Look at the entry")),
        "Everybody can find {image} now",
        """\
{greeting}

an administrator has approved it: everybody can find and launch the image {image}.

{link}""",
        LINK,
    ),
    Kind(
        "publication_rejected",
        "An entry was not opened to everybody",
        "To the owner of the entry, when an administrator rejects it.",
        (GREETING, IMAGE,
         quote("reason", "what the administrator wrote", "Its SSH host keys are still in it."),
         link("the entry", "/marketplace/metadata/…", "Look at the entry")),
        "{image} stays with you for now",
        """\
{greeting}

you would have liked everybody to find the image {image}. An administrator has said no, and wrote:

{reason}

The entry is yours as before. Change what is to be changed, and ask again from its page.

{link}""",
        frozenset({"reason", "link"}),
    ),
)  # fmt: skip
