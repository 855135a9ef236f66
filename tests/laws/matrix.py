"""Who may do what: every door of the portal, once, below whom it is for.

The one table of permissions. ``test_permissions`` tries every line of it as everybody, and
fails on a door that is in no line. ``docs/administrators/permissions.md`` is made from it:

    .venv/bin/python -m tests.laws.matrix
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "administrators" / "permissions.md"

ROLES = {
    "visitor": "Nobody has signed in.",
    "applied": "Asked for an account, is not let in yet, and looks where the request stands.",
    "suspended": "Has an account that an administrator suspended, and looks at the reason.",
    "other": "Is active, and has nothing to do with the thing.",
    "member": "Is active, and a member of the group; of machines, keys and tokens: as other.",
    "owner": "Is active, and the thing is theirs: they launched, added, asked for or founded it.",
    "acting": "Is an administrator who acts as the owner.",
    "administrator": "Is an administrator.",
}
ANSWERS = {
    "open": "yes",
    "sign in": "signs in first",
    "hidden": "no: not found",
    "nothing": "not found",
    "refused": "no",
    "token": "no: token",
}


@dataclass(frozen=True)
class Audience:
    """What each role gets; ``doors`` has a line for each: its name and the methods it takes."""

    title: str
    text: str
    answers: dict[str, str]
    doors: str
    note: str = ""

    def lines(self) -> Iterator[tuple[str, str]]:
        """Name and method of each door."""
        for line in self.doors.split("\n"):
            name, *methods = line.split() or [""]
            yield from ((name, method) for method in methods)


def _answers(words: str) -> dict[str, str]:
    """One letter for each role: yes, signs in first, hidden, not found, refused, token."""
    letters = {word[0]: word for word in ANSWERS}
    return dict(zip(ROLES, (letters[letter] for letter in words.replace(" ", "")), strict=True))


#: Doors of Django's admin come and go with the tables, and are all alike.
ADMIN = "admin:"
ADMIN_ANSWERS = _answers("sss hhhh o")
#: The door that is no URL: where a console's WebSocket is opened.
CONSOLE = "console"

TABLE = (
    Audience(
        "Everybody",
        "Also who has not signed in. What a page shows differs: a visitor sees the catalogue, "
        "not who launched what.",
        _answers("ooo oooo o"),
        """
        home GET
        healthz GET
        help GET
        api_guide GET
        api:api-root GET
        api:openapi-json GET
        login GET POST
        logout POST
        policies GET
        marketplace:catalogue GET
        marketplace:entry GET
        marketplace:endorsement GET
        registration:invitation GET
        registration:policy GET
        registration:policy_changes GET
        marketplace:metadata GET POST
        marketplace:entries GET
        marketplace:tag GET
        marketplace:endorsers GET
        marketplace:endorser GET
        marketplace:endorser_tags GET
        marketplace:file GET
        marketplace:measure GET
        marketplace:site_certificate GET
        marketplace:site_certificate_of GET
        marketplace:site_certificates GET
        marketplace:upload GET POST
        marketplace:confirm GET POST
        old_metadata GET POST
        old_entry GET
        old_endorsement GET
        old_entries GET
        old_tag GET
        old_endorsers GET
        old_endorser GET
        old_endorser_tags GET
        old_upload GET
        """,
    ),
    Audience(
        "Everybody, for themselves",
        "Asking for an account, proving an address or setting a password by the link in a mail: "
        "an administrator who acts as somebody does none of it in their name.",
        _answers("ooo ooor o"),
        """
        openid_connect_callback GET
        openid_connect_login GET POST
        registration:confirm_email GET POST
        registration:new_email_confirm GET POST
        registration:new_email_stop GET POST
        registration:register GET POST
        registration:reset GET POST
        registration:reset_cancel POST
        registration:reset_confirm GET POST
        registration:reset_sent GET
        registration:sent GET
        socialaccount_login_cancelled GET
        """,
    ),
    Audience(
        "Who asked for an account",
        "Where the request stands. Who has not given their password is led to the sign-in page, "
        "who is let in to their profile.",
        _answers("soo oooo o"),
        """
        registration:apply_again GET POST
        registration:correct GET POST
        registration:resend POST
        registration:timeline GET
        registration:withdraw POST
        """,
    ),
    Audience(
        "Who asked for an account, for themselves",
        "As above.",
        _answers("soo ooor o"),
        """
        registration:standing GET
        """,
    ),
    Audience(
        "Who is signed in",
        "What is listed is only one's own, and what is shared. An administrator sees everybody's "
        "machines in the list of machines.",
        _answers("sss oooo o"),
        """
        activity GET
        marketplace:copy GET
        registration:add_key GET
        registration:groups GET
        registration:invitation POST
        registration:keys GET
        registration:new_group GET POST
        registration:stop_acting POST
        registration:wish GET POST
        vms:bulk POST
        vms:launch GET POST
        vms:list GET
        vms:detach_disks POST
        vms:my_usage GET
        vms:prefer_type POST
        vms:types GET
        volumes:bin GET
        volumes:bin_bulk POST
        volumes:delete_many GET POST
        volumes:fetch GET POST
        volumes:list GET
        volumes:new GET POST
        volumes:offers GET
        volumes:offers_notice GET
        volumes:purge_many GET POST
        volumes:upload GET
        volumes:upload_quota GET
        marketplace:build GET POST
        marketplace:build_of_file POST
        marketplace:drafts GET
        marketplace:fetch POST
        marketplace:keys GET
        marketplace:new_key GET
        vms:launch_elsewhere POST
        vms:batches GET
        vms:batch_template GET
        vms:new_batch GET POST
        vms:export GET POST
        vms:save_many POST
        vms:backups GET
        vms:restore GET POST
        vms:builds GET
        vms:new_build GET POST
        vms:clusters GET
        vms:new_cluster GET POST
        vms:networks GET
        vms:new_network GET POST
        vms:context_check POST
        vms:context_file POST
        vms:recipes GET
        vms:new_recipe GET POST
        vms:new_own_type GET POST
        marketplace:make_images GET POST
        registration:bell GET
        registration:notices_read POST
        registration:notifications GET
        registration:notification_choices GET POST
        registration:webhooks GET
        registration:webhook_add GET POST
        """,
    ),
    Audience(
        "Who is signed in, for themselves",
        "The profile, and how one proves who one is: nobody else does it in one's name.",
        _answers("sss ooor o"),
        """
        account_reauthenticate GET POST
        mfa_activate_totp GET POST
        mfa_add_webauthn GET POST
        mfa_authenticate GET POST
        mfa_generate_recovery_codes POST
        mfa_index GET
        mfa_login_webauthn GET POST
        registration:add_key POST
        registration:agree GET POST
        registration:new_email GET POST
        registration:new_email_cancel POST
        registration:password GET POST
        registration:profile GET POST
        registration:profile_defaults POST
        registration:token_create GET POST
        registration:tokens GET
        socialaccount_connect POST
        socialaccount_connections GET
        socialaccount_prove POST
        socialaccount_signup GET POST
        marketplace:new_key POST
        usersessions_list GET POST
        """,
    ),
    Audience(
        "The owner, and administrators",
        "For everybody else the thing does not exist.",
        _answers("sss hhoo o"),
        """
        vms:console GET
        vms:console_grant POST
        vms:console_log GET
        vms:detail GET
        vms:kill POST
        vms:reboot POST
        vms:row GET
        vms:shut_down POST
        vms:start POST
        vms:usage GET
        vms:disks GET
        vms:detach_disk POST
        volumes:cancel POST
        volumes:dismiss POST
        volumes:purge GET POST
        volumes:recover POST
        marketplace:pending GET
        marketplace:arrival GET
        marketplace:arrival_progress GET
        marketplace:arrival_again POST
        vms:extend POST
        vms:lease POST
        vms:batch GET
        vms:kill_batch POST
        vms:shut_down_batch POST
        vms:backup GET
        vms:backup_detail GET
        vms:build GET
        vms:build_log GET
        vms:cancel_build POST
        vms:cluster GET
        vms:kill_cluster POST
        vms:network GET
        vms:delete_network POST
        vms:seed GET
        marketplace:inspection GET
        marketplace:publication GET
        vms:detach_nic POST
        """,
    ),
    Audience(
        "The owner",
        "Administrators neither, unless they act as the owner.",
        _answers("sss hhoo h"),
        """
        registration:answer_invitation POST
        registration:withdraw_wish POST
        volumes:accept_offer POST
        volumes:decline_offer POST
        volumes:download_remove POST
        volumes:download_row GET
        volumes:upload_row GET
        volumes:upload_same POST
        marketplace:draft GET POST
        marketplace:draft_preview GET
        marketplace:draft_drop POST
        marketplace:draft_retry POST
        marketplace:pending_withdraw POST
        marketplace:sign GET POST
        marketplace:end_key GET
        marketplace:key_certificate GET
        vms:save GET POST
        registration:notice_open POST
        registration:notice_read POST
        registration:webhook GET POST
        registration:webhook_remove POST
        registration:webhook_test POST
        registration:delivery_again POST
        marketplace:withdraw_publication POST
        marketplace:ask_publication GET POST
        """,
        note="Of a disk that is offered, its receiver; of a download, who had it made; of an "
        "upload, who began it.",
    ),
    Audience(
        "The owner; administrators see it, and are refused",
        "An administrator sees every machine and every disk, and neither reads nor changes what "
        "is on a disk.",
        _answers("sss hhoo r"),
        """
        vms:disks POST
        volumes:delete_snapshot POST
        volumes:restore_snapshot GET POST
        volumes:withdraw_offer POST
        vms:backup POST
        vms:delete_backup POST
        vms:launch_backup POST
        vms:backup_image POST
        vms:attach_nic POST
        marketplace:clean POST
        vms:save_build POST
        """,
    ),
    Audience(
        "Whose size it is",
        "Sizes of one's own are found by their names, by nobody else.",
        _answers("sss nnoo n"),
        """
        vms:own_type GET POST
        vms:delete_own_type POST
        """,
    ),
    Audience(
        "Programs of whose size it is",
        "As above.",
        _answers("ttt nnot n"),
        """
        api:delete_size DELETE
        """,
    ),
    Audience(
        "Whose cluster has a master that was there before",
        "The script for that master. Here the cluster has none: its owner does not find it either.",
        _answers("sss hhnn n"),
        """
        vms:cluster_script GET
        """,
    ),
    Audience(
        "Programs, of whose cluster has a master that was there before",
        "As above.",
        _answers("ttt hhnt n"),
        """
        api:cluster_script GET
        """,
    ),
    Audience(
        "Who sees the recipe",
        "Its owner, and the members of the group that it is shared with; the shipped ones are "
        "everybody's who is signed in. Only its owner changes it.",
        _answers("sss hooo h"),
        """
        vms:recipe GET
        """,
    ),
    Audience(
        "The recipe's owner",
        "Whom it is shared with is told so.",
        _answers("sss hroo h"),
        """
        vms:recipe POST
        vms:delete_recipe POST
        """,
    ),
    Audience(
        "Who sees the disk",
        "Its owner, administrators, and whom it is shared with; here: the members of a group that "
        "may read it. A public disk is seen by everybody who is signed in. Into which of one's "
        "machines it may go, and what may be asked of it, the page says.",
        _answers("sss hooo o"),
        """
        vms:attach_disk GET POST
        volumes:delete GET
        volumes:detail GET
        volumes:downloads GET
        volumes:row GET
        volumes:usage GET
        """,
    ),
    Audience(
        "Who may read the disk",
        "An administrator may not, unless it is public or shared with them.",
        _answers("sss hooo r"),
        """
        volumes:copy GET POST
        volumes:downloads POST
        """,
    ),
    Audience(
        "The disk's owner",
        "Who may read or write it changes nothing about it, and administrators neither.",
        _answers("sss hroo r"),
        """
        volumes:change GET POST
        volumes:change_share POST
        volumes:grow GET POST
        volumes:offer GET POST
        volumes:sharing GET POST
        volumes:snapshot GET POST
        volumes:stop_sharing POST
        marketplace:inspect POST
        """,
    ),
    Audience(
        "The disk's owner, and administrators",
        "Who may read or write it is told so.",
        _answers("sss hroo o"),
        """
        volumes:delete POST
        """,
    ),
    Audience(
        "The owner, for themselves",
        "Keys, tokens, sessions, passkeys and identities: nobody but the owner.",
        _answers("sss hhor h"),
        """
        mfa_edit_webauthn GET POST
        mfa_remove_webauthn POST
        marketplace:end_key POST
        registration:make_default_key POST
        registration:remove_key POST
        registration:rename_key POST
        registration:token_revoke GET POST
        socialaccount_disconnect POST
        usersessions_end POST
        vms:save_planned POST
        vms:drop_saving POST
        vms:power_off POST
        registration:webhook_secret POST
        """,
    ),
    Audience(
        "Who may read the entry",
        "Everybody, if it is public; here: the members of a group. Who signs does it in their own "
        "name.",
        _answers("sss hooo o"),
        """
        marketplace:build_of_entry POST
        marketplace:endorse GET POST
        """,
    ),
    Audience(
        "Who endorsed the entry",
        "Who may read it is told so, administrators too: nobody speaks for another endorser.",
        _answers("sss hroo r"),
        """
        marketplace:deprecate GET POST
        marketplace:extend GET POST
        marketplace:readers GET POST
        marketplace:remove GET POST
        """,
    ),
    Audience(
        "Who has set it up, for themselves",
        "A page about one's own codes, which is not found by who has none.",
        _answers("sss nnor n"),
        """
        mfa_deactivate_totp POST
        mfa_download_recovery_codes GET
        mfa_view_recovery_codes GET
        """,
    ),
    Audience(
        "Members of the group, and administrators",
        "For everybody else the group does not exist.",
        _answers("sss hooo o"),
        """
        registration:group GET
        registration:invite GET
        registration:leave_group POST
        """,
    ),
    Audience(
        "Owners of the group, and administrators",
        "A member is told that only an owner may.",
        _answers("sss hroo o"),
        """
        registration:change_group GET POST
        registration:delete_group POST
        registration:invite POST
        registration:member POST
        registration:withdraw_invitation POST
        """,
    ),
    Audience(
        "Administrators",
        "For everybody else the page does not exist. An administrator who acts as somebody has "
        "no rights but that person's.",
        _answers("sss hhhh o"),
        """
        audit GET
        audit_table GET
        doctor GET
        registration:act_on_rule POST
        registration:decide POST
        registration:decide_many POST
        registration:decide_wish POST
        registration:decide_wishes POST
        registration:mail GET
        registration:mail_text GET POST
        registration:mail_texts GET
        registration:mails GET
        registration:new_policy GET POST
        registration:policy_missing GET
        registration:policy_versions GET
        registration:queue GET
        registration:reason GET POST
        registration:reasons GET POST
        registration:remove_reason POST
        registration:row GET
        registration:rule GET POST
        registration:rules GET POST
        registration:undelivered GET POST
        registration:waiting GET
        registration:wish_row GET
        registration:wishes GET
        vms:act_as POST
        vms:ask_person POST
        vms:close_person GET POST
        vms:new_type GET POST
        vms:people GET
        vms:people_table GET
        vms:person GET
        vms:person_quota POST
        vms:resume_person POST
        vms:suspend_person POST
        vms:type GET POST
        vms:usage_report GET
        vms:usage_table GET
        marketplace:policy GET POST
        marketplace:stop_copy POST
        marketplace:policy_file GET
        marketplace:certificates GET POST
        marketplace:certificate GET POST
        marketplace:certificate_remove POST
        marketplace:sources GET
        marketplace:source GET POST
        marketplace:source_entries GET
        marketplace:source_new GET POST
        marketplace:act_on_source POST
        marketplace:end_site GET POST
        marketplace:decide_publication POST
        marketplace:decide_publications POST
        marketplace:publication_row GET
        marketplace:publications GET
        """,
        note="Django's own pages below `/admin/` show the tables to administrators, to be read: "
        "they take no POST.",
    ),
    Audience(
        "Programs, and everybody",
        "The catalogue is public: without a token, what everybody may read. A token that is not "
        "good is refused.",
        _answers("ott oooo o"),
        """
        api:entries GET
        api:entry GET
        api:image_entries GET
        """,
    ),
    Audience(
        "Programs",
        "By a token of the person, with every request; a session opens nothing here. A token "
        "that may only read is refused where something is written. Who is not let in has no "
        "good token.",
        _answers("ttt ooot o"),
        """
        api:disks GET POST
        api:detach_disks POST
        api:fetch_disk POST
        api:groups GET
        api:keys GET POST
        api:vms POST
        api:me GET
        api:offers GET
        api:vms GET
        api:list_backups GET
        api:new_build GET POST
        api:launch_batch GET POST
        api:export_vms GET
        api:clusters GET POST
        api:networks GET POST
        api:list_sizes GET POST
        api:notifications GET
        api:notifications_read POST
        api:webhooks GET POST
        api:publications GET
        """,
    ),
    Audience(
        "Programs, of what is the owner's",
        "As above; an administrator's token opens every machine.",
        _answers("ttt hhot o"),
        """
        api:kill POST
        api:reboot POST
        api:shut_down POST
        api:start POST
        api:vm GET
        api:cancel_disk POST
        api:detach_disk POST
        api:list_machine_disks GET
        api:one_attachment GET
        api:recover_disk POST
        api:disk_shares GET
        api:disk_snapshot GET
        api:disk_snapshots GET
        api:dismiss_disk POST
        api:purge_disk POST
        api:extend POST
        api:vm_lease PUT
        api:one_backup GET
        api:one_batch GET
        api:ask_batch POST
        api:build GET
        api:build_log GET
        api:disk_report GET
        api:cancel_build POST
        api:cluster GET DELETE
        api:network GET DELETE
        api:detach_nic DELETE
        """,
    ),
    Audience(
        "Programs, of a disk that they see",
        "As above.",
        _answers("ttt hoot o"),
        """
        api:disk GET
        api:disk_downloads GET
        """,
    ),
    Audience(
        "Programs, of a disk that they may read",
        "An administrator's token reads no more disks than the administrator.",
        _answers("ttt hoot r"),
        """
        api:disk_downloads POST
        api:copy_disk POST
        """,
    ),
    Audience(
        "Programs, of the owner's disk",
        "Who may read it is told so.",
        _answers("ttt hrot r"),
        """
        api:disk PATCH
        api:disk_shares POST
        api:disk_snapshots POST
        api:grow_disk POST
        api:offer_disk POST
        api:disk_report POST
        """,
    ),
    Audience(
        "Programs, of the owner's disk, and administrators'",
        "As above.",
        _answers("ttt hrot o"),
        """
        api:disk DELETE
        """,
    ),
    Audience(
        "Programs, of what is the owner's; administrators see it, and are refused",
        "As on the pages.",
        _answers("ttt hhot r"),
        """
        api:list_machine_disks POST
        api:disk_share PATCH DELETE
        api:disk_snapshot DELETE
        api:restore_snapshot POST
        api:attach_nic POST
        api:one_backup DELETE
        api:copy_backup POST
        api:vm_save POST
        api:vm_saving PUT DELETE
        api:save_build POST
        api:back_up POST
        """,
    ),
    Audience(
        "Programs, of what is the owner's alone",
        "As above, and administrators neither. Of a disk that is offered, who it is offered to "
        "answers, and who offered it withdraws.",
        _answers("ttt hhot h"),
        """
        api:download GET DELETE
        api:key DELETE
        api:accept_offer POST
        api:decline_offer POST
        api:withdraw_offer POST
        api:webhook GET PUT DELETE
        api:webhook_test POST
        api:deliveries GET
        api:delivery_again POST
        api:notification_read POST
        api:publications POST
        """,
    ),
    Audience(
        "Programs and browsers: uploads",
        "By a session or by a token; whoever is let in may begin one.",
        _answers("ttt oooo o"),
        """
        volumes:tus POST
        """,
    ),
    Audience(
        "Programs and browsers, of what is the owner's alone",
        "By a session or by a token: the bytes of an upload, and those of a download.",
        _answers("ttt hhoo h"),
        """
        volumes:download_file GET
        volumes:tus_upload PATCH
        """,
    ),
    Audience(
        "Programs and browsers, of the owner's upload, and administrators'",
        "To end it.",
        _answers("ttt hhoo o"),
        """
        volumes:tus_upload DELETE
        """,
    ),
    Audience(
        "The stream of changes",
        "Each change is sent only to who may see the thing at that moment.",
        _answers("rrr oooo o"),
        """
        live GET
        """,
    ),
    Audience(
        "Consoles",
        "By a grant for one machine that is good once, for half a minute and in one session, "
        "and that only who may see the machine gets. The right is looked up again every few "
        "seconds while the console is open.",
        _answers("rrr rroo o"),
        f"""
        {CONSOLE} WebSocket
        """,
    ),
)


def every_line() -> dict[tuple[str, str], Audience]:
    """Audience by name and method; a door stands in one line only."""
    found: dict[tuple[str, str], Audience] = {}
    for audience in TABLE:
        for line in audience.lines():
            if line in found:
                raise ValueError(f"{line} stands in the table twice.")
            found[line] = audience
    return found


def as_page(routes: dict[str, str]) -> str:
    """The table for people; ``routes`` are the paths by the doors' names."""
    parts = [_HEAD, _roles(), _LEGEND]
    parts += [_section(audience, routes) for audience in TABLE]
    return "\n".join(parts)


_HEAD = """\
# Permissions

<!-- Made by `.venv/bin/python -m tests.laws.matrix` from the table that the tests try: do not
edit it here. -->

Who may open and use what. Each line is tried by the tests as each of these people, so this page
says what the portal does. A door that is in no line fails the tests.
"""
_LEGEND = """\
**yes**: the door opens; whether what is asked for is possible right now is another question.
**signs in first**: led to the sign-in page, and back. **no: not found**: the same 404 as for what
does not exist, so that nobody learns what others have; the attempt is in the audit. **no**: told
so; the attempt is in the audit if it was about somebody else's things. **not found**: there is
nothing of one's own to show. **no: token**: a program has to send a token of an active account.

Two gates stand before every door: who has not agreed to the present policies is led to them, and
an administrator without a second factor is led to set one up, where the site asks for it. Pages
that change how a person proves who they are ask for the proof again after five minutes.
"""


def _roles() -> str:
    lines = [f"| **{role}** | {text} |" for role, text in ROLES.items()]
    return "\n".join(["| who | what is known of them |", "|---|---|", *lines, ""])


def _section(audience: Audience, routes: dict[str, str]) -> str:
    head = " | ".join(ROLES)
    row = " | ".join(ANSWERS[audience.answers[role]] for role in ROLES)
    doors: dict[str, list[str]] = {}
    for name, method in audience.lines():
        doors.setdefault(routes[name], []).append(method)
    lines = [f"- `{path}` {', '.join(methods)}" for path, methods in sorted(doors.items())]
    table = [f"| {head} |", f"|{'---|' * len(ROLES)}", f"| {row} |"]
    note = [audience.note, ""] if audience.note else []
    parts = [f"## {audience.title}", "", audience.text, "", *table, "", *lines, "", *note]
    return "\n".join(parts)


def routes_of(doors: list[Any]) -> dict[str, str]:
    """Paths by names, as people read them; and the console's, which is none of Django's."""
    found = {door.name: f"/{door.route}" for door in doors}
    return found | {CONSOLE: "/console/ws/"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django  # noqa: PLC0415  (settings first)

    django.setup()
    from tests.doors import doors  # noqa: PLC0415

    PAGE.write_text(as_page(routes_of(doors())), encoding="utf-8")


if __name__ == "__main__":
    main()
