"""Guests of half a kilobyte: they boot in no time and do not hear the power button."""

import os
import subprocess
import sys
from pathlib import Path

from tests.running import CHECKOUT, RunningPortal, clean_environment

SECTOR = 512
#: Print what follows at 0x16 to the first serial line, then halt for ever:
#: xor ax,ax; mov ds,ax; mov si,0x7c16; l: lodsb; test al,al; jz e; mov dx,0x3f8; out dx,al;
#: jmp l; e: sti; hlt; jmp e.
CODE = bytes.fromhex("31c08ed8be167cac84c07406baf803eeebf5fbf4ebfc")

PUBLISH = """
import dataclasses, django, sys
django.setup()
from pathlib import Path
from cloud.images.built import Profile, measured
from django.conf import settings
from marketplace.actions import publish
path, title = Path(sys.argv[1]), sys.argv[2]
size = path.stat().st_size
profile = Profile(os="none", os_version="1", version="1", title=title, description="Halts.")
built = measured(path, profile, virtual_size_bytes=size, packages=())
entry, _ = publish(dataclasses.replace(built, format="raw"), tag=title)
path.rename(settings.PORTAL_HOME / "images" / entry.file_name)
print(entry.identifier)
"""


def write(path: Path, *, name: str, size_bytes: int) -> None:
    """A disk whose guest greets like a login prompt, which frees its boot lane."""
    sector = (CODE + f"{name} login: ".encode() + b"\0").ljust(SECTOR - 2, b"\0") + b"\x55\xaa"
    path.write_bytes(sector)
    os.truncate(path, size_bytes)


def publish(portal: RunningPortal, *, name: str, size_bytes: int) -> str:
    """List such a guest in the catalogue; the identifier of its image."""
    path = portal.home / "images" / f".{name}"
    write(path, name=name, size_bytes=size_bytes)
    done = subprocess.run(
        [sys.executable, "-c", PUBLISH, str(path), name],
        cwd=CHECKOUT,
        env={**clean_environment(), "PORTAL_HOME": str(portal.home),
             "DJANGO_SETTINGS_MODULE": "portal.settings"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )  # fmt: skip
    return done.stdout.split()[-1]
