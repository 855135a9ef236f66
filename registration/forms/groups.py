"""What is written about groups."""

from registration import names
from registration.actions import groups
from registration.forms.base import Form, text


class GroupForm(Form):
    RULES = {"name": groups.group_name, "description": groups.group_description}

    name = text(
        "Name",
        "off",
        groups.LONGEST_NAME,
        help_text=f"{groups.SHORTEST_NAME} to {groups.LONGEST_NAME} characters; no other group "
        "may have it.",
    )
    description = text(
        "Description",
        "off",
        groups.LONGEST_DESCRIPTION,
        required=False,
        help_text="Optional: what the group is for. Its members read it.",
    )


class InviteForm(Form):
    whom = text(
        "User name or e-mail address",
        "off",
        names.LONGEST_EMAIL,
        attrs={"autocapitalize": "off", "spellcheck": "false"},
        help_text="An address gets a mail with a link, whether or not it belongs to somebody here.",
    )
