"""Nobody goes on who has not agreed to the policies as they are now."""

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from registration import policies
from registration.gates import answers

OPEN = answers.ALWAYS_OPEN | {
    "registration:agree",
    "registration:policy",
    "registration:policy_changes",
}


def gate(request: HttpRequest) -> HttpResponse | None:
    if answers.name_of(request) in OPEN or not policies.must_agree(request.user):
        return None
    return answers.lead_to(
        request,
        reverse("registration:agree"),
        "policies_not_agreed",
        "The policies of this site have changed. Read them and agree, then go on.",
    )
