"""Where a request stands, for whoever made it and is not let in yet, or any more."""

from collections.abc import Callable
from functools import wraps

from django.contrib import messages
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
    if verb not in person.request_verbs:
        return redirect("registration:standing")
    data = answers(request)
    form = RequestForm(data) if data is not None else RequestForm.of(person)
    if form.is_valid():
        try:
            act(person, form.request())
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, said)
            return redirect("registration:standing")
    status = UNPROCESSABLE if form.is_bound else 200
    context = {"form": form, "verb": verb, "person": person}
    return render(request, "registration/request.html", context, status=status)
