"""What is known of guests by the name of their system."""

import re

#: Systems whose Python is older than 2.7.3, which reads no multipart user data: the first
#: version that is new enough. Source: StratusLab (stratuslab.md 3.2), and their own packages.
_OLD_PYTHON = (
    ("centos", 7), ("scientific", 7), ("red hat", 7), ("redhat", 7), ("rhel", 7), ("oracle", 7),
    ("ubuntu", 12), ("debian", 7), ("fedora", 18),
)  # fmt: skip
#: Systems for which there is no cloud-init, or whose images never had it.
_WITHOUT = ("ttylinux", "cirros", "windows", "slitaz", "tiny core", "coreos")


def advice(system: str, version: str, *, title: str = "", has_parts: bool) -> str:
    """What who launches such a guest should know, in a sentence, or ""."""
    name = f"{system} {title}".lower()
    number = re.match(r"\d+", version.strip())
    for word, enough in _OLD_PYTHON:
        if word in system.lower() and number and int(number[0]) < enough:
            replaced = (
                " These parts would not reach it: give literal user data." if has_parts else ""
            )
            return (
                f"{system} {version} has a Python older than 2.7.3, which cannot read user data of "
                f"several parts.{replaced}"
            )
    if any(word in name for word in _WITHOUT):
        return (
            f"Images of {system or title} mostly come without cloud-init: keys, parts and user "
            "data may do nothing in it. Its description should say what it reads."
        )
    return ""
