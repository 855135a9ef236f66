from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.errors import Refused
from marketplace import official


class Command(BaseCommand):
    help = "Endorse anew what the site signed while it had another address (PORTAL_URL, sender)."

    def handle(self, *args: Any, **options: Any) -> None:
        count = 0
        try:
            for entry in official.say_anew_where_the_site_is():
                count += 1
                self.stdout.write(f"Endorsed anew: {entry.label}, {entry.identifier}")
        except Refused as refused:
            raise CommandError(f"The site cannot sign: {refused}") from refused
        if not count:
            self.stdout.write("Every image of the site names its address of today.")
