"""``python -m cloud.images.<name> OUT``: build an image by hand."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from cloud.images.built import BuiltImage, ImageBuildError

Build = Callable[[Path, Path], BuiltImage]


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(build: Build, *, what: str) -> int:
    """Parse the command line, build, and print what was built; return the exit code."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("target", type=Path, metavar="OUT", help="the qcow2 file to write")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path.home() / ".cache" / "portal-images",
        help="where Debian packages are kept between builds (%(default)s)",
    )
    arguments = parser.parse_args()
    try:
        image = build(arguments.target, arguments.cache)
    except ImageBuildError as error:
        sys.stderr.write(f"{error}\n{error.detail}\n")
        return 1
    say(f"{image.title}: {image.path}, {image.size_bytes} bytes")
    say(f"virtual size {image.virtual_size_bytes} bytes")
    for name in ("sha1", "sha256", "sha512"):
        say(f"{name} {getattr(image, name)}")
    for name, version in image.packages:
        say(f"package {name} {version}")
    return 0
