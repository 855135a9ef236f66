"""manage.py is_set_up: whether set-up has anything left to do, in one start of Django."""

import sys
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from marketplace import official
from marketplace.management.commands.build_demo_image import Command as DemoImage
from registration.models import User


class Command(BaseCommand):
    help = "End with 0 if tables, demo image and an administrator are there, else with 1."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        if not _is_set_up():
            sys.exit(1)


def _is_set_up() -> bool:
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return False
        return User.objects.administrators().exists() and bool(official.kept(DemoImage.recipe))
    except DatabaseError:
        return False  # the step that needs the database says what is wrong with it
