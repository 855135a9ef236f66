"""Letters about images that are saved from machines."""

from registration.letters.kind import Kind
from registration.letters.placeholders import PERSON, Placeholder, Shape, link, quote

_IMAGE = Placeholder("image", "the title of the image", "Debian 12 with R")
_IDENTIFIER = Placeholder("identifier", "the image's identifier", "PcW9GNhE3-YFGQ0hPFsSrRla7Sb")
_SIZE = Placeholder("size", "how large its disk is", "2 GiB")

IMAGES: tuple[Kind, ...] = (
    Kind(
        "image_saved",
        "Image saved from a machine",
        "To the owner of the machine. The draft of the image's entry is attached.",
        (
            *PERSON, _IMAGE, _IDENTIFIER, _SIZE,
            Placeholder("machine", "the machine's name", "web-1"),
            Placeholder("until", "until when its first entry is valid; empty without one",
                        "4 December 2026, 14:00 UTC"),
            Placeholder("unsigned", "why it is not signed; empty if it is",
                        "It is not signed. The portal keeps no key for you that signs now."),
            link("the page of the disk", "/volumes/…/", "Look at the disk", "disk_link"),
            link("where one launches a machine from it; empty without an entry",
                 "/vms/launch/?image=…", "Launch a machine from it", "launch_link"),
            link("the page of its entry, or of its draft", "/marketplace/metadata/…",
                 "Look at its entry"),
            Placeholder(
                "steps", "what to do next",
                "Launch a machine from it, and see that it is as you wanted it.\n"
                "Extend it by six months, on the page of its entry.",
                Shape.LIST,
            ),
        ),
        "New image created {identifier}",
        """\
Dear {name},

the disk of your machine {machine} is an image now: {image}.

Its identifier is {identifier}. It has {size}, is kept as a disk of yours, and nobody else can \
read it:

{disk_link}

Its first entry in the Marketplace is signed with your key, is open to you alone, and ends on \
{until}.
{unsigned}

{link}

What to do next:

{steps}

{launch_link}

Attached is a draft of the entry, not signed, with the image's size and checksums: sign it with a \
key of your own and upload it, or do all of this in the portal.""",
        frozenset({"identifier", "link", "disk_link"}),
    ),
    Kind(
        "image_saved_author",
        "Image saved, to its author",
        "To the author's address that the owner of the machine gave, if it is not their own; ten "
        "a day at most. The draft of the image's entry is attached.",
        (
            Placeholder("owner", "who saved it", "Jane Doe (jane)"), _IDENTIFIER, _SIZE,
            quote("image", "the title of the image", "Debian 12 with R"),
            link("the page of its entry", "/marketplace/metadata/…", "Look at its entry"),
        ),
        "New image created {identifier}",
        """\
Hello,

{owner} saved the disk of a machine as an image on {site}, and gave this address as its author's:

{image}

Its identifier is {identifier}, and it has {size}. It is open to {owner} alone until they share \
or publish it; then you find it here:

{link}

Attached is a draft of its entry, not signed, with the image's size and checksums.

If you know nothing of this, ignore this mail, and tell the site if more come.""",
        frozenset({"identifier"}),
    ),
)  # fmt: skip
