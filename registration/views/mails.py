"""Mails for administrators: their words, those that stayed here, and those that did not leave."""

from functools import wraps
from typing import Any

from csp.decorators import csp_update
from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE, query_without
from registration import actions, letters, mailbox
from registration.actions.mails import version_of
from registration.doors import Door, P, UserRequest, administrators_only, answers
from registration.emails import is_kept_in_files
from registration.forms.mails import MailTextForm
from registration.letters.composing import style_source
from registration.models import MailText, OutgoingMail
from registration.outbox import MOST_TRIES

PAGE = 50


def _shows_letters(view: "Door[P]") -> "Door[P]":
    """The page may show letters as they look: their style sheet is let in, and no other."""

    @wraps(view)
    def shown(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        let_in: Any = csp_update({"style-src": [style_source()]})
        answer: HttpResponseBase = let_in(view)(request, *args, **kwargs)
        return answer

    return shown  # type: ignore[return-value]


@administrators_only
@never_cache
@require_safe
def index(request: UserRequest) -> HttpResponse:
    if not is_kept_in_files():
        raise Http404
    wanted = request.GET.get("q", "").strip()[:100]
    page = Paginator(mailbox.search(wanted), PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "q": wanted,
        "query": query_without(request, "page"),
        "days": settings.PORTAL_MAIL_DAYS,
    }
    return render(request, "registration/mails.html", context)


@_shows_letters
@administrators_only
@never_cache
@require_safe
def detail(request: UserRequest, key: str) -> HttpResponse:
    """Each look is in the audit: links in a mail are those of whom it is to."""
    mail = actions.open_mail(key, by=request.user) if is_kept_in_files() else None
    if mail is None:
        raise Http404
    crumbs = [{"label": "Mails", "url": reverse("registration:mails")}]
    return render(request, "registration/mail.html", {"mail": mail, "crumbs": crumbs})


@administrators_only
@require_safe
def texts(request: UserRequest) -> HttpResponse:
    own = {text.kind: text for text in MailText.objects.select_related("changed_by")}
    context = {
        "kinds": [(kind, own.get(name)) for name, kind in letters.KINDS.items()],
        "undelivered": OutgoingMail.objects.troubled().count(),
        "sender": settings.DEFAULT_FROM_EMAIL,
        "mail_server": "" if is_kept_in_files() else settings.EMAIL_HOST,
    }
    return render(request, "registration/mail_texts.html", context)


@_shows_letters
@administrators_only
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def text(request: UserRequest, kind: str) -> HttpResponse:
    """The words of one mail: looked at, tried, saved, or given back for the shipped ones."""
    known = letters.KINDS.get(kind)
    if known is None:
        raise Http404
    words = letters.wording_of(known)
    shown = {"subject": words.subject, "text": words.text}
    form = MailTextForm(answers(request), kind=known, initial=shown)
    act = request.POST.get("act", "")
    try:
        if act == "restore":
            actions.restore_mail_text(known, by=request.user)
            messages.success(request, f"“{known}” is sent in the shipped words again.")
            return redirect("registration:mail_text", kind)
        if form.is_valid():
            words = form.words
            if act == "save":
                return _save(request, known, words)
            if act == "try":
                actions.send_trial(known, by=request.user, words=words)
                messages.success(
                    request, f"A trial with made-up values goes to {request.user.email}."
                )
    except Refused as refused:
        form.refuse(refused)
    status = UNPROCESSABLE if form.is_bound and form.errors else 200
    return render(
        request, "registration/mail_text.html", _text_context(known, form, words), status=status
    )


def _save(request: UserRequest, kind: letters.Kind, words: letters.Wording) -> HttpResponse:
    """Raises: Refused."""
    actions.change_mail_text(kind, by=request.user, words=words, seen=request.POST.get("seen", ""))
    messages.success(request, f"“{kind}” is sent in these words from now on.")
    return redirect("registration:mail_text", kind.name)


def _text_context(kind: letters.Kind, form: MailTextForm, words: letters.Wording) -> dict[str, Any]:
    is_good = not form.is_bound or not form.errors
    return {
        "kind": kind,
        "form": form,
        "own": MailText.objects.select_related("changed_by").filter(kind=kind.name).first(),
        "seen": version_of(kind),
        "placeholders": [(each, each.name in kind.required) for each in kind.placeholders.values()],
        "letter": letters.sample(kind, words) if is_good else None,
        "crumbs": [{"label": "Mail texts", "url": reverse("registration:mail_texts")}],
    }


@administrators_only
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def undelivered(request: UserRequest) -> HttpResponse:
    """Mails that the mail server did not take: tried again, or given up."""
    if request.method == "POST":
        act = request.POST.get("act")
        if act == "retry":
            count = actions.retry_mails(by=request.user)
            messages.success(request, f"{count} mails are tried again now.")
        elif act == "forget":
            count = actions.forget_mails(by=request.user)
            messages.success(request, f"{count} mails are forgotten.")
        return redirect("registration:undelivered")
    troubled = OutgoingMail.objects.troubled().order_by("-pk")
    page = Paginator(troubled, PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "most_tries": MOST_TRIES,
        "waiting_mails": OutgoingMail.objects.waiting().troubled().count(),
        "given_up": OutgoingMail.objects.given_up().count(),
        "crumbs": [{"label": "Mail texts", "url": reverse("registration:mail_texts")}],
    }
    return render(request, "registration/undelivered.html", context)
