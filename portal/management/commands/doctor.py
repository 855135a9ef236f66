"""manage.py doctor: every fault of this installation, with its fix."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal import doctor

_MARKS = {doctor.Status.OK: "ok", doctor.Status.WARNING: "WARNING", doctor.Status.FAULT: "FAULT"}


class Command(BaseCommand):
    help = "Check this installation. Ends with 1 if something does not work."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="for machines: a list of checks")

    def handle(self, *args: Any, **options: Any) -> None:
        checks = doctor.run()
        if options["json"]:
            self.stdout.write(json.dumps([check.as_dict() for check in checks], indent=2))
        else:
            for check in checks:
                self._print(check)
        if faults := sum(check.status is doctor.Status.FAULT for check in checks):
            raise CommandError(f"{faults} {'fault' if faults == 1 else 'faults'} found.")

    def _print(self, check: doctor.Check) -> None:
        self.stdout.write(f"{_MARKS[check.status]:<8} {check.name}: {check.sentence}")
        if check.fix:
            self.stdout.write(f"{'':<8} fix: {check.fix}")
