"""``python -m bench [NAME...]``: run the benchmarks; all of them write RESULTS.md."""

import os
import sys

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.settings"
django.setup()

from bench.run import main  # noqa: E402  (it needs the settings)

sys.exit(main(sys.argv[1:]))
