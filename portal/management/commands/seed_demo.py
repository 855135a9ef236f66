"""Fill the portal with made-up machines, images and people; or remove them again."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal import demo
from vms.models import InstanceType

MOST = 100_000


class Command(BaseCommand):
    help = (
        "Fill this portal with made-up people, images and machines, to see and measure full "
        "pages. No engine runs them: they belong to the cloud “demo”, and stay as they are "
        "until --clean removes them. Whatever an earlier call made is replaced."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--machines", type=int, default=100, help="how many (100)")
        parser.add_argument("--entries", type=int, default=12, help="images in the catalogue (12)")
        parser.add_argument(
            "--users", type=int, default=0, help="other people; a tenth of them waits (0)"
        )
        parser.add_argument("--disks", type=int, default=0, help="disks of these people (0)")
        parser.add_argument("--clean", action="store_true", help="only remove what it made")
        parser.add_argument(
            "--force", action="store_true", help="even where real machines are alive"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        if options["clean"]:
            self.stdout.write(f"Removed {demo.clean()} made-up machines, and what came with them.")
            return
        machines, entries, users, disks = (
            options[name] for name in ("machines", "entries", "users", "disks")
        )
        if not 0 <= machines <= MOST or not 1 <= entries <= MOST:
            raise CommandError(f"Ask for 0 to {MOST} machines and 1 to {MOST} images.")
        if not 0 <= users <= MOST:
            raise CommandError(f"Ask for 0 to {MOST} people.")
        if not 0 <= disks <= MOST or (disks and not machines):
            raise CommandError(f"Ask for 0 to {MOST} disks, and for machines with them.")
        if not InstanceType.objects.exists():
            raise CommandError("This site offers no size; define one under /vms/types/ first.")
        real = demo.real_machines()
        if real and not options["force"]:
            raise CommandError(
                f"{real} real machine{'s are' if real > 1 else ' is'} alive here, and made-up ones "
                "would stand between them. Use a portal of its own "
                "(PORTAL_HOME=/tmp/demo make run), or say --force."
            )
        demo.clean()
        demo.seed(machines=machines, entries=entries, users=users, disks=disks)
        self.stdout.write(
            f"{machines} machines, {disks} disks, {entries} images and {users} other people, made "
            f"up in {time.monotonic() - started:.1f} s. Sign in as an administrator to see them "
            "all; remove them with --clean."
        )
