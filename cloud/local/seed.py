"""The NoCloud seed: what a machine learns about itself at its first boot.

Source: cloud-init documentation, "NoCloud" (a disk labelled ``cidata``). Values are
written as JSON, which is YAML: nothing a person types can add a line.
"""

import io
import json

import pycdlib

from cloud.types import VmSpec


def iso(spec: VmSpec, *, token: str) -> bytes:
    """The seed disk of machine ``token``: an ISO 9660 image labelled ``cidata``."""
    contents = {
        "meta-data": meta_data(spec, token=token),
        "user-data": spec.user_data.encode() or default_user_data(spec),
        "vendor-data": vendor_data(spec),
    }
    disk = pycdlib.PyCdlib()
    disk.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for name, data in contents.items():
        short = name.upper().replace("-", "_")
        disk.add_fp(
            io.BytesIO(data), len(data), f"/{short}.;1", rr_name=name, joliet_path=f"/{name}"
        )
    written = io.BytesIO()
    disk.write_fp(written)
    disk.close()
    return written.getvalue()


def meta_data(spec: VmSpec, *, token: str) -> bytes:
    """Identity and SSH keys, one key a line so that a reader without YAML finds them."""
    lines = [
        f"instance-id: {json.dumps(token)}",
        f"local-hostname: {json.dumps(spec.hostname or f'vm-{token[:8]}')}",
        "public-keys:" if spec.ssh_keys else "public-keys: []",
        *_key_lines(spec),
    ]
    return _text(lines)


def default_user_data(spec: VmSpec) -> bytes:
    """The same keys, for images that read them from user data only."""
    if not spec.ssh_keys:
        return b"#cloud-config\n{}\n"
    return _text(["#cloud-config", "ssh_authorized_keys:", *_key_lines(spec)])


def vendor_data(spec: VmSpec) -> bytes:
    """Swap, which no user data of a person's own should have to name."""
    if not spec.swap_mib:
        return b"#cloud-config\n{}\n"
    swap = ["LABEL=swap", "none", "swap", "sw,nofail", "0", "0"]
    return _text(["#cloud-config", f"mounts: {json.dumps([swap])}"])


def _key_lines(spec: VmSpec) -> list[str]:
    return [f"  - {json.dumps(key.strip(), ensure_ascii=False)}" for key in spec.ssh_keys]


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
