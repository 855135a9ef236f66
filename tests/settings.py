"""The portal's settings with a home of the tests' own, named before they are read."""

import atexit
import os
import shutil
import tempfile

if "PORTAL_TEST_HOME" not in os.environ:
    os.environ["PORTAL_TEST_HOME"] = tempfile.mkdtemp(prefix="portal-test-")
    os.chmod(os.environ["PORTAL_TEST_HOME"], 0o711)  # noqa: S103  (QEMU runs unprivileged below)
    atexit.register(shutil.rmtree, os.environ["PORTAL_TEST_HOME"], ignore_errors=True)

os.environ["PORTAL_HOME"] = os.environ["PORTAL_TEST_HOME"]
os.environ.pop("REDIS_URL", None)
os.environ.setdefault("PORTAL_LOG_LEVEL", "ERROR")

from portal.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
