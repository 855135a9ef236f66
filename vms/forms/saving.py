"""What a machine's disk is to become: on the launch page, and on a page of its own."""

from typing import Any

from django import forms

from core.errors import Refused
from marketplace import actions as marketplace
from marketplace.models import Entry
from registration.forms.base import Form, text
from registration.models import User
from vms.actions.saving import (
    LONGEST_AUTHOR,
    LONGEST_COMMENT,
    LONGEST_TITLE,
    LONGEST_VERSION,
    Image,
    check_image,
)

#: The fields of an image, in the order in which forms show them.
FIELDS = ("title", "comment", "author", "email", "version")
_TITLE = "What people see first, such as “Debian 12 with R 4.3”. The disk is named by it."
_COMMENT = "What is in it, and what it is for: it becomes the description of its entry."
_EMAIL = (
    "The mail with the draft of its entry goes to your own address in any case. Another address "
    "gets it too, ten times a day at most."
)
_VERSION = "Yours to count."


def image_defaults(user: User, base: Entry | None) -> dict[str, str]:
    """What is filled in: the person's name and address, and the version after the base's."""
    return {
        "author": (user.get_full_name() or user.username)[:LONGEST_AUTHOR],
        "email": user.email,
        "version": marketplace.next_version(base.version if base else ""),
    }


class SaveForm(Form):
    """The page “Shut down and save”: all of it is required."""

    title = text("Title", "off", LONGEST_TITLE, missing="Say what the image is called.",
                 help_text=_TITLE)  # fmt: skip
    comment = text("Comment", "off", LONGEST_COMMENT, widget=forms.Textarea, attrs={"rows": 3},
                   missing="Say what is in it, and what it is for.",
                   help_text=_COMMENT)  # fmt: skip
    author = text("Author", "name", LONGEST_AUTHOR, missing="Say who makes the image.")
    email = text("E-mail address of the author", "email", 254, attrs={"inputmode": "email"},
                 missing="Write the author's e-mail address.", help_text=_EMAIL)  # fmt: skip
    version = text("Version", "off", LONGEST_VERSION, missing="Say which version it is.",
                   help_text=_VERSION)  # fmt: skip

    def clean(self) -> dict[str, Any]:
        super().clean()
        if not self.errors:
            try:
                said = {name: self.cleaned_data[name] for name in FIELDS}
                self.image = check_image(Image(**said))
            except Refused as refused:
                self.refuse(refused)
        return self.cleaned_data


class SaveFields(forms.Form):
    """The same as a part of the launch page: required together, if it is ticked."""

    save_image = forms.BooleanField(
        label="Make an image of its disk when it is shut down", required=False,
        help_text="Nothing is kept of a machine that is killed. You can decide later, too, on the "
        "machine's page.",
    )  # fmt: skip
    image_title = text("Title", "off", LONGEST_TITLE, required=False, help_text=_TITLE)
    image_comment = text("Comment", "off", LONGEST_COMMENT, widget=forms.Textarea, required=False,
                         attrs={"rows": 3}, help_text=_COMMENT)  # fmt: skip
    image_author = text("Author", "name", LONGEST_AUTHOR, required=False)
    image_email = text("E-mail address of the author", "email", 254, required=False,
                       attrs={"inputmode": "email"}, help_text=_EMAIL)  # fmt: skip
    image_version = text("Version", "off", LONGEST_VERSION, required=False, help_text=_VERSION)

    #: What the page unfolds if one of them is wrong.
    IMAGE_FIELDS = ("save_image", *(f"image_{name}" for name in FIELDS))

    def image_initial(self, user: User, base: Entry | None) -> dict[str, str]:
        return {f"image_{name}": said for name, said in image_defaults(user, base).items()}

    def check_saving(self) -> None:
        """Call it in ``clean``."""
        if not self.cleaned_data.get("save_image"):
            return
        missing = {name for name in FIELDS if not self.cleaned_data.get(f"image_{name}")}
        wrong = {name for name in FIELDS if self.has_error(f"image_{name}")}
        for name in FIELDS:
            if name in missing - wrong:
                message = f"With “Make an image”, give a {_CALLED.get(name, name)} too."
                self.add_error(f"image_{name}", message)
        if missing or wrong:
            return
        try:
            check_image(self._said())
        except Refused as refused:
            field = f"image_{refused.field}" if refused.field in FIELDS else "save_image"
            self.add_error(field, str(refused))

    def image_to_be(self) -> Image | None:
        """Of a form that is valid."""
        return self._said() if self.cleaned_data.get("save_image") else None

    def _said(self) -> Image:
        return Image(**{name: self.cleaned_data[f"image_{name}"] for name in FIELDS})

    @property
    def is_saving_open(self) -> bool:
        """Whether its part of the page is unfolded."""
        return bool(self["save_image"].value()) or any(map(self.has_error, self.IMAGE_FIELDS))


_CALLED = {"email": "e-mail address of the author"}
