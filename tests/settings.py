"""The portal's settings with a home of the tests' own, named before they are read."""

import atexit
import os
import shutil
import tempfile

# Each process of a parallel run has its own: one Redis socket, one database.
_home = tempfile.mkdtemp(prefix="portal-test-")
os.chmod(_home, 0o711)  # noqa: S103  (QEMU runs unprivileged below)
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["PORTAL_HOME"] = _home
os.environ.pop("REDIS_URL", None)
os.environ.setdefault("PORTAL_LOG_LEVEL", "ERROR")

from portal.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
