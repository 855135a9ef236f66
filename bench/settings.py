"""The portal's settings with a home of the benchmarks' own.

The benchmarks are one more process of the portal that they measure: same home, same
database, same Redis. So they can make rows and ask the tables, as a worker would.
"""

import atexit
import os
import shutil
import tempfile

home = tempfile.mkdtemp(prefix="portal-bench-")
os.chmod(home, 0o711)  # noqa: S103  (machines run as somebody else and must reach their files)
atexit.register(shutil.rmtree, home, ignore_errors=True)

for name in [name for name in os.environ if name.startswith("PORTAL_")]:
    del os.environ[name]
for name in ("DATABASE_URL", "REDIS_URL"):
    os.environ.pop(name, None)
os.environ["PORTAL_HOME"] = home
os.environ["PORTAL_LOG_LEVEL"] = "ERROR"

from portal.settings import *  # noqa: E402, F403
