"""Where a request stands, for whoever made it and is not let in yet, or any more."""

from collections.abc import Callable
from functools import wraps

from django.contrib import messages
from django.core.exceptions import NON_FIELD_ERRORS
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration import actions, standing
from registration.doors import answers
from registration.forms.requests import RequestForm
from registration.models import User
from registration.states import AccountState

#: What sends what is typed, by what may be asked.
LABELS = {"correct": "Save", "apply_again": "Apply again"}
BECAME: dict[str, str] = {
    AccountState.APPLIED: "is waiting again",
    AccountState.CONFIRMED: "is waiting again",
    AccountState.ACTIVE: "was accepted",
    AccountState.REJECTED: "was rejected",
    AccountState.WITHDRAWN: "was withdrawn",
}

PersonView = Callable[[HttpRequest, User], HttpResponse]


def of_the_person(view: PersonView) -> Callable[[HttpRequest], HttpResponse]:
    """For who proved a password and is not let in; others sign in first."""

    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            return redirect("registration:profile")
        person = standing.person_of(request)
        return redirect("login") if person is None else view(request, person)

    return never_cache(guarded)


@require_safe
@of_the_person
def index(request: HttpRequest, person: User) -> HttpResponse:
    return render(request, "registration/standing.html", {"person": person})


@require_safe
@of_the_person
def timeline(request: HttpRequest, person: User) -> HttpResponse:
    """The part of the page that changes by itself."""
    return render(request, "registration/_standing.html", {"person": person})


@require_POST
@of_the_person
def resend(request: HttpRequest, person: User) -> HttpResponse:
    try:
        actions.resend(person)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"A mail to {person.email} is on its way, with a new link.")
    return redirect("registration:standing")


@require_POST
@of_the_person
def withdraw(request: HttpRequest, person: User) -> HttpResponse:
    try:
        actions.withdraw(person)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, "Your request is withdrawn. You can apply again at any time.")
    return redirect("registration:standing")


@require_http_methods(["GET", "HEAD", "POST"])
@of_the_person
def correct(request: HttpRequest, person: User) -> HttpResponse:
    said = "Your request is corrected."
    return _say_anew(request, person, "correct", actions.correct, said)


@require_http_methods(["GET", "HEAD", "POST"])
@of_the_person
def apply_again(request: HttpRequest, person: User) -> HttpResponse:
    said = "You have applied again."
    return _say_anew(request, person, "apply_again", actions.apply_again, said)


def _say_anew(
    request: HttpRequest,
    person: User,
    verb: str,
    act: Callable[[User, actions.Request], None],
    said: str,
) -> HttpResponse:
    form = RequestForm(answers(request), of=person)
    if verb in person.request_verbs:
        if form.is_valid():
            try:
                act(person, form.request())
            except Refused as refused:
                form.refuse(refused)
            else:
                messages.success(request, said)
                return redirect("registration:standing")
    elif not form.is_bound:
        messages.error(request, f"Your request {_became(person)} meanwhile.")
        return redirect("registration:standing")
    if verb not in person.request_verbs:  # another tab, or an administrator, was faster
        return _too_late(request, person, form)
    status = UNPROCESSABLE if form.is_bound else 200
    context = {"form": form, "verb": verb, "person": person}
    return render(request, "registration/request.html", context, status=status)


def _too_late(request: HttpRequest, person: User, form: RequestForm) -> HttpResponse:
    """What was typed stays on the page, with what can be asked now."""
    verb = next((verb for verb in LABELS if verb in person.request_verbs), "")
    sentence = f"This was not saved: your request {_became(person)} meanwhile."
    if verb:
        sentence += f" What you wrote is still here; press “{LABELS[verb]}” to send it."
    form.errors.pop(NON_FIELD_ERRORS, None)
    form.add_error(None, sentence)
    context = {"form": form, "verb": verb, "person": person}
    return render(request, "registration/request.html", context, status=UNPROCESSABLE)


def _became(person: User) -> str:
    return BECAME.get(person.state, f"is {person.get_state_display().lower()}")
