"""Who acts for somebody else does not touch how that person proves who they are."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from registration.acting import who_acts
from registration.gates import answers

#: Names, or beginnings of names, of doors that only the person may pass.
THEIRS_ALONE = (
    "account_", "mfa_", "usersessions_", "socialaccount_", "openid_connect_",
    "registration:agree", "registration:password", "registration:profile",
    "registration:token", "registration:new_email", "registration:add_key",
)  # fmt: skip


def gate(request: HttpRequest) -> HttpResponse | None:
    if who_acts(request) is None or not answers.name_of(request).startswith(THEIRS_ALONE):
        return None
    sentence = "Only the person may do this: it is about how they prove who they are."
    if not answers.is_page(request):
        return answers.refuse("acting", sentence)
    return render(request, "registration/theirs_alone.html", {"refusal": sentence}, status=403)
