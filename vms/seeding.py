"""The medium that tells a guest about itself, as pages show it."""

from collections.abc import Sequence
from dataclasses import replace

from cloud import media, seeds
from cloud.types import VmSpec
from vms.context import Context, user_data
from vms.models import VM


def draft(told: Context, keys: Sequence[str], name: str) -> VmSpec:
    """As much of a machine that is not ordered yet as its medium is made of."""
    return VmSpec(
        name=name,
        hostname=VM(name=name).hostname if name else "",
        vcpus=1,
        memory_mib=1,
        image="",
        context_method=told.method,
        context=dict(told.pairs),
        ssh_keys=tuple(keys),
        user_data=user_data(told),
    )


def spec_to_show(vm: VM) -> tuple[VmSpec, bool]:
    """What the machine is told by its owner, and whether the portal tells it more, which is not
    shown: there may be keys in it."""
    spec = vm.spec()
    return replace(spec, user_data=vm.user_data), spec.user_data != vm.user_data


def medium(spec: VmSpec, token: str) -> bytes:
    """The ISO 9660 image.

    Raises: ValueError: no such medium can be made.
    """
    if reason := seeds.problem(spec):
        raise ValueError(reason)
    return media.iso(spec, token=token)
