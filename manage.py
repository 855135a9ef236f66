#!/usr/bin/env python
"""Django's command line for the portal."""

import os
import secrets
import sys

from django.core.management import execute_from_command_line

from core.caller import Caller, caller
from core.logs import request_id

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    # What a command does, the audit tells from what the portal does by itself.
    caller.set(Caller(door="command"))
    request_id.set(f"command-{secrets.token_hex(6)}")
    execute_from_command_line(sys.argv)
