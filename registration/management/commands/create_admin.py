"""Create the first administrator, once."""

import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.errors import Refused
from registration import actions

FILE = "first-login.txt"
# No letters or digits that look alike.
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
GROUPS, GROUP_LETTERS = 4, 5  # 31 ** 20: 99 bits


class Command(BaseCommand):
    help = (
        "Create the administrator that a new portal needs. The password comes from "
        "PORTAL_ADMIN_PASSWORD, or is made up, printed once, and kept in first-login.txt in "
        "PORTAL_HOME."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", default="admin")
        parser.add_argument("--email", default="admin@localhost")

    def handle(self, *args: Any, **options: Any) -> None:
        given = os.environ.get("PORTAL_ADMIN_PASSWORD", "")
        password = given or _readable_password()
        try:
            user = actions.create_administrator(
                username=options["username"], email=options["email"], password=password
            )
        except Refused as refused:
            raise CommandError(str(refused)) from None
        if user is None:
            self.stdout.write("There is an administrator already; nothing was changed.")
            return
        self.stdout.write(f"Created the administrator {user.username}.")
        if given:
            self.stdout.write("The password is the one in PORTAL_ADMIN_PASSWORD.")
            return
        path = _keep(Path(settings.PORTAL_HOME), user.username, password)
        self.stdout.write(
            f"Password: {password}\nIt is kept in {path}; delete the file once you know it."
        )


def _readable_password() -> str:
    groups = ("".join(secrets.choice(LETTERS) for _ in range(GROUP_LETTERS)) for _ in range(GROUPS))
    return "-".join(groups)


def _keep(home: Path, username: str, password: str) -> Path:
    path = home / FILE
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(
            f"URL: {settings.PORTAL_URL}/login/\nUser name: {username}\nPassword: {password}\n"
        )
    return path
