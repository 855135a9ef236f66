"""What administrators write as the policies of their site."""

from django import forms

from registration.actions.policies import LONGEST_CHANGES, LONGEST_POLICIES
from registration.forms import base


class PolicyForm(base.Form):
    text = base.text(
        "Text",
        "off",
        LONGEST_POLICIES,
        widget=forms.Textarea,
        attrs={"rows": 24, "class": "font-monospace"},
        help_text="In Markdown: ## begins a heading, 1. or - an item of a list, and a blank line "
        "a paragraph.",
    )
    changes = base.text(
        "What is new",
        "off",
        LONGEST_CHANGES,
        help_text="In a sentence. Everybody reads it before they agree.",
        missing="Say in a sentence what is new: everybody reads it before they agree.",
    )
    asks_again = forms.BooleanField(
        label="Everybody has to agree again",
        required=False,
        initial=True,
        help_text="They are asked the next time they open a page, and programs are refused until "
        "then. Machines keep running. Leave it out for a correction of spelling.",
    )
