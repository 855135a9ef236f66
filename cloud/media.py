"""The disk that tells a guest about itself, as ``cloud.seeds`` says: an ISO 9660 image."""

import io

import pycdlib

from cloud import seeds
from cloud.types import VmSpec


def iso(spec: VmSpec, *, token: str) -> bytes:
    """The medium of machine ``token``."""
    disk = pycdlib.PyCdlib()
    disk.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=seeds.label(spec))
    for name, data in seeds.files(spec, token=token).items():
        short = name.upper().replace("-", "_")
        disk.add_fp(
            io.BytesIO(data),
            len(data),
            f"/{short}{'' if '.' in short else '.'};1",
            rr_name=name,
            joliet_path=f"/{name}",
        )
    written = io.BytesIO()
    disk.write_fp(written)
    disk.close()
    return written.getvalue()
