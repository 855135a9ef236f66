"""One disk: its page, and what is asked of it."""

import uuid

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from volumes.views.door import UserRequest, find


@login_required
@require_safe
def detail(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    return render(request, "volumes/detail.html", {"volume": find(request, key)})
