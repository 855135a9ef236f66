"""What the commands that build an image have in common."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from cloud.images import ImageBuildError
from core.errors import Refused
from marketplace import official
from marketplace.models import Entry


class BuildCommand(BaseCommand):
    recipe: official.Recipe

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--if-missing",
            action="store_true",
            help="do nothing if the catalogue has this version already and its file is there",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        kept = official.kept(self.recipe) if options["if_missing"] else None
        if kept:
            self._say(_why_not(kept))
            return
        try:
            if options["if_missing"] and (renewed := official.renew(self.recipe)):
                self._say(f"{renewed.label} was there; the site has endorsed it anew.")
                return
            entry, is_new = official.make(self.recipe, report=self._say)
        except Refused as refused:
            raise CommandError(f"The image is not listed: {refused}") from refused
        except ImageBuildError as error:
            if error.detail:
                self.stderr.write(error.detail)
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(
                f"{official.images_path()} could not be written: {error}. "
                "Check its owner and the free space, or set PORTAL_HOME."
            ) from error
        self._say(_summary(entry, is_new))
        self._say(f"It took {time.monotonic() - started:.1f} s.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)


def _why_not(kept: Entry) -> str:
    if kept.deprecated:
        return (
            f"{kept.label} was withdrawn: {kept.deprecated}\n"
            "Leave out --if-missing to build and endorse it again."
        )
    return f"{kept.label} is in the catalogue: {kept.identifier}"


def _summary(entry: Entry, is_new: bool) -> str:
    what = "Added to the catalogue" if is_new else "The same bytes are in the catalogue already"
    return (
        f"{what}: {entry.label}\n"
        f"  identifier {entry.identifier}\n"
        f"  size       {entry.size_bytes} bytes\n"
        f"  SHA-256    {entry.sha256}\n"
        f"  file       {entry.site_file}\n"
        f"  valid      until {entry.valid_until:%Y-%m-%d}"
    )
