"""A disk from an address."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration.doors import answers
from volumes import actions
from volumes.forms.fetching import FetchForm
from volumes.views.door import UserRequest


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def fetch(request: UserRequest) -> HttpResponse:
    form = FetchForm(answers(request))
    if form.is_valid():
        try:
            volume = actions.fetch(owner=request.user, wanted=form.wanted())
        except Refused as refused:
            form.refuse(refused)
        else:
            return redirect(volume)
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "volumes/fetch.html", {"form": form}, status=status)
