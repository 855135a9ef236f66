"""Contextualization: what a machine is told at its first boot. Nothing here asks a database."""

from vms.context.checks import Level, Problem, check, errors, warnings
from vms.context.exchange import (
    LARGEST_PACKED_BYTES,
    LARGEST_PLAIN_BYTES,
    Unreadable,
    cloud_init_txt,
    packed_bytes,
    read_cloud_init_txt,
    user_data,
    with_system,
)
from vms.context.modules import SUBTYPES
from vms.context.multipart import guess_subtype
from vms.context.multipart import read as read_parts
from vms.context.pairs import SCRIPT, BadPair
from vms.context.pairs import read as read_pairs
from vms.context.pairs import write as write_pairs
from vms.context.parts import MOST_PARTS, Context, Part, as_json, from_json, parts_from, tidy

__all__ = [
    "LARGEST_PACKED_BYTES", "LARGEST_PLAIN_BYTES", "MOST_PARTS", "SCRIPT", "SUBTYPES", "BadPair",
    "Context", "Level", "Part", "Problem", "Unreadable", "as_json", "check", "cloud_init_txt",
    "errors", "from_json", "guess_subtype", "packed_bytes", "parts_from", "read_cloud_init_txt",
    "read_pairs", "read_parts", "tidy", "user_data", "warnings", "with_system", "write_pairs",
]  # fmt: skip
