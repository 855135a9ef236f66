"""Rules that let people in by the domain of their address, and the reasons given often."""

import re
from functools import cache
from typing import Any

from django.db import IntegrityError, transaction
from publicsuffixlist import PublicSuffixList

from core.errors import Refused
from core.models import record
from registration import names
from registration.actions import rules
from registration.actions.moderation import LONGEST_REASON, approve_by
from registration.models import ApprovalRule, ReasonTemplate, Rejection, User, patterns_of

LONGEST_NOTE = 200
LONGEST_TITLE = 60

_DOMAIN = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9-]{2,63}\Z")
#: Anybody gets an address there within a minute: a rule for them is no rule.
FOR_ANYBODY = frozenset(
    {
        "gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "yahoo.com",
        "icloud.com", "aol.com", "gmx.de", "gmx.net", "gmx.com", "web.de", "proton.me",
        "protonmail.com", "mail.com", "mail.ru", "yandex.ru", "yandex.com", "zoho.com",
        "laposte.net", "orange.fr", "free.fr", "qq.com", "163.com",
    }
)  # fmt: skip


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def pattern(text: str) -> str:
    """A domain, or ``*.`` and a domain for everything below it, as it is kept.

    Raises: Refused: ``pattern_invalid``.
    """
    try:
        text = text.strip().removeprefix("@").encode("idna").decode().lower()
    except UnicodeError:
        text = ""
    if not _DOMAIN.match(text) or len(text) > names.LONGEST_EMAIL - 1:
        raise _bad("Write a domain such as example.org, or *.example.org for every one below it.")
    domain = text.removeprefix("*.")
    if _suffixes().is_public(domain):
        raise _bad(f"Anybody can register a name below {domain}; write a domain of one institute.")
    if domain in FOR_ANYBODY:
        raise _bad(f"Anybody can get an address at {domain}; such requests need a look.")
    return text


def _bad(sentence: str) -> Refused:
    return Refused("pattern_invalid", sentence, field="pattern")


def add_rule(*, by: User, pattern: str, note: str = "") -> ApprovalRule:
    """From now on, let in whoever confirms an address of this domain.

    Who waits already goes on waiting; see ``apply_rule``.

    Raises:
        Refused: ``not_administrator``, ``pattern_invalid``, ``pattern_known``.
    """
    rules.must_be_administrator(by)
    rule = ApprovalRule(pattern=_pattern(pattern), note=_note(note), created_by=by)
    _save(rule, "rule_added", by, pattern=rule.pattern, note=rule.note)
    return rule


def change_rule(rule: ApprovalRule, *, by: User, pattern: str, note: str = "") -> None:
    """Change whom a rule lets in from now on.

    Raises:
        Refused: ``not_administrator``, ``pattern_invalid``, ``pattern_known``.
    """
    rules.must_be_administrator(by)
    before = {"pattern": rule.pattern, "note": rule.note}
    after = {"pattern": _pattern(pattern), "note": _note(note)}
    if after == before:
        return
    rule.pattern, rule.note = after["pattern"], after["note"]
    _save(rule, "rule_changed", by, before=before, after=after)


_pattern = pattern  # the actions have an argument of that name


def _note(text: str) -> str:
    return names.one_line(text)[:LONGEST_NOTE]


def _save(rule: ApprovalRule, verb: str, by: User, **detail: Any) -> None:
    """Together with its line: no rule lets people in without an author.

    Raises: Refused: ``pattern_known``.
    """
    try:
        with transaction.atomic():
            if rule.pk:
                rule.save(update_fields=["pattern", "note"])
            else:
                rule.save()
            _record(rule, verb, by, **detail)
    except IntegrityError:
        sentence = f"There is a rule for {rule.pattern} already."
        raise Refused("pattern_known", sentence, field="pattern") from None


@transaction.atomic
def switch_rule(rule: ApprovalRule, *, by: User, is_enabled: bool) -> None:
    """Switch a rule on or off; off, it lets nobody in.

    Raises: Refused: ``not_administrator``.
    """
    rules.must_be_administrator(by)
    rows = ApprovalRule.objects.filter(pk=rule.pk, is_enabled=not is_enabled)
    if rows.update(is_enabled=is_enabled):
        rule.is_enabled = is_enabled
        _record(rule, "rule_switched_on" if is_enabled else "rule_switched_off", by)


@transaction.atomic
def remove_rule(rule: ApprovalRule, *, by: User) -> None:
    """Forget a rule. Whom it let in stays in.

    Raises: Refused: ``not_administrator``.
    """
    rules.must_be_administrator(by)
    _record(rule, "rule_removed", by, pattern=rule.pattern, used=rule.used_count)
    rule.delete()


def waiting_for(rule: ApprovalRule) -> list[User]:
    """Who waits now and would be let in by this rule, if it is on or not; oldest first.

    Not whom an administrator has refused before.
    """
    domain = rule.pattern.removeprefix("*.")
    ending = f".{domain}" if rule.pattern.startswith("*.") else f"@{domain}"
    waiting = User.objects.waiting().exclude(email_confirmed_at=None).order_by("asked_at", "pk")
    waiting = waiting.filter(email__iendswith=ending)
    found = [user for user in waiting if rule.pattern in patterns_of(user.email)]
    refused = Rejection.objects.refused(found)
    return [user for user in found if user.pk not in refused]


def apply_rule(rule: ApprovalRule, *, by: User) -> list[User]:
    """Let in those who wait already and whom this rule would have let in.

    Raises: Refused: ``not_administrator``, ``rule_off``.
    """
    rules.must_be_administrator(by)
    if not rule.is_enabled:
        raise Refused("rule_off", "This rule is switched off. Switch it on first.")
    return [user for user in waiting_for(rule) if approve_by(rule, user, by=by)]


def _record(rule: ApprovalRule, verb: str, by: User, **detail: Any) -> None:
    record("approval_rule", rule.uuid, verb, by=by, label=rule.pattern, **detail)


def add_reason(*, by: User, title: str, text: str) -> ReasonTemplate:
    """Keep a reason for rejections that is given often.

    Raises:
        Refused: ``not_administrator``, ``title_invalid``, ``title_known``, ``reason_missing``,
            ``reason_too_long``.
    """
    return _keep_reason(ReasonTemplate(), by=by, title=title, text=text)


def change_reason(template: ReasonTemplate, *, by: User, title: str, text: str) -> None:
    """Reword a reason; what was written with it stays as it was.

    Raises:
        Refused: as ``add_reason``.
    """
    _keep_reason(template, by=by, title=title, text=text)


def _keep_reason(template: ReasonTemplate, *, by: User, title: str, text: str) -> ReasonTemplate:
    rules.must_be_administrator(by)
    before = {"title": template.title, "text": template.text}
    after = {"title": names.one_line(title), "text": text.replace("\r\n", "\n").strip()}
    _must_be_reason(**after)
    template.title, template.text = after["title"], after["text"]
    is_new = template.pk is None
    try:
        with transaction.atomic():
            template.save()
            verb = "reason_added" if is_new else "reason_changed"
            changes = {"after": after} if is_new else {"before": before, "after": after}
            _record_reason(template, verb, by, **changes)
    except IntegrityError:
        sentence = f"There is a reason called {template.title} already."
        raise Refused("title_known", sentence, field="title") from None
    return template


def _record_reason(template: ReasonTemplate, verb: str, by: User, **detail: Any) -> None:
    record("reason_template", template.uuid, verb, by=by, label=template.title, **detail)


def _must_be_reason(title: str, text: str) -> None:
    """Raises: Refused: ``title_invalid``, ``reason_missing``, ``reason_too_long``."""
    if not 1 <= len(title) <= LONGEST_TITLE:
        sentence = f"A title has 1 to {LONGEST_TITLE} characters."
        raise Refused("title_invalid", sentence, field="title")
    if not text:
        raise Refused("reason_missing", "Write the text that people will read.", field="text")
    if len(text) > LONGEST_REASON:
        sentence = f"A reason has at most {LONGEST_REASON} characters; this has {len(text)}."
        raise Refused("reason_too_long", sentence, field="text")


@transaction.atomic
def remove_reason(template: ReasonTemplate, *, by: User) -> None:
    """Forget a reason; what was written with it stays.

    Raises: Refused: ``not_administrator``.
    """
    rules.must_be_administrator(by)
    _record_reason(template, "reason_removed", by)
    template.delete()
