"""What a disk's type means, for whoever chooses one for the first time. After a colon."""

from collections.abc import Mapping

from volumes.models import DiskType

T = DiskType
TYPES: Mapping[str, str] = {
    T.DATA_IMAGE_RAW_READ_WRITE: "one machine at a time writes to it.",
    T.DATA_IMAGE_RAW_READONLY: "attached to any number of machines at once; nobody writes to it.",
    T.DATA_IMAGE_LIVE: "a copy of a data original, used like your data.",
    T.DATA_IMAGE_ORIGIN: "kept as it is; nothing attaches it, copies of it are attached.",
    T.MACHINE_IMAGE_LIVE: "a machine boots from it and writes to it, one at a time; it is not "
    "attached beside another disk.",
    T.MACHINE_IMAGE_ORIGIN: "kept as it is; no machine uses it, copies of it boot machines.",
}
