"""Who acts for somebody else does not touch how that person proves who they are."""

from typing import cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from registration.acting import who_acts
from registration.doors import UserRequest, note_closed_page
from registration.gates import answers

#: Names, or beginnings of names, of doors that only the person may pass.
THEIRS_ALONE = (
    "account_", "mfa_", "usersessions_", "socialaccount_", "openid_connect_",
    "registration:agree", "registration:password", "registration:profile",
    "registration:token", "registration:new_email", "registration:confirm", "registration:reset",
)  # fmt: skip


def gate(request: HttpRequest) -> HttpResponse | None:
    if who_acts(request) is None:
        return None
    name = answers.name_of(request)
    # SSH keys may be looked at.
    is_key = name == "registration:keys" or name.endswith("_key")
    if not name.startswith(THEIRS_ALONE) and (request.method in answers.SAFE or not is_key):
        return None
    sentence = "Only the person may do this: it is about how they prove who they are."
    _note(cast("UserRequest", request), sentence)
    if not answers.is_page(request):
        return answers.refuse("acting", sentence)
    return render(request, "registration/theirs_alone.html", {"refusal": sentence}, status=403)


def _note(request: UserRequest, sentence: str) -> None:
    """The person reads it too. Not the path: some have the text of a link to a new password."""
    match = request.resolver_match
    label = f"/{match.route}" if match else request.path
    note_closed_page(request, label=label, reason=sentence, owner=request.user.pk)
