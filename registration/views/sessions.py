"""Where a person is signed in, and signing out there."""

from allauth.usersessions.models import UserSession
from django.contrib import auth, messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from registration import actions, agents, sessions
from registration.doors import UserRequest, find_or_404


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def index(request: UserRequest) -> HttpResponse:
    """A list; sent back, every session but this one ends."""
    here = request.session.session_key
    if request.method == "POST":
        count = actions.end_sessions(request.user, besides=here)
        ended = f"{count} sessions are ended." if count != 1 else "One session is ended."
        messages.success(request, f"{ended} This one goes on." if count else "There is no other.")
        return redirect("usersessions_list")
    rows = list(sessions.of(request.user))
    for row in rows:
        row.described = agents.described(row.user_agent)
        row.is_here = row.session_key == here
    rows.sort(key=lambda row: not row.is_here)
    return render(request, "usersessions/list.html", {"sessions": rows})


@login_required
@require_POST
def end(request: UserRequest, pk: int) -> HttpResponse:
    own = UserSession.objects.filter(user=request.user)
    row = find_or_404(own, request, "session_ended", pk=pk)
    actions.end_session(request.user, row)
    if row.session_key == request.session.session_key:
        auth.logout(request)
        return redirect("login")
    messages.success(request, f"{agents.described(row.user_agent)} is signed out.")
    return redirect("usersessions_list")
