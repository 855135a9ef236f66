"""Sizes of machines, for programs: the site's, and one's own."""

from typing import Annotated, Any

from django.http import Http404
from ninja import Field, Schema, Status

from core.errors import Refused
from registration.bearer import ApiRequest
from vms import actions
from vms.api.machines import router
from vms.forms.sizes import OwnTypeForm
from vms.models import LARGEST_MEMORY_MIB, LARGEST_VCPUS, SMALLEST_MEMORY_MIB, InstanceType


class SizeOut(Schema):
    name: str
    description: str
    vcpus: int
    memory_mib: int
    swap_mib: int
    is_default: bool = Field(description="The site's default")
    is_own: bool = Field(description="One of your own; false: the site's")

    @staticmethod
    def resolve_is_own(size: InstanceType) -> bool:
        return size.owner_id is not None


class SizeIn(Schema):
    name: Annotated[str, Field(min_length=1, max_length=40)] = Field(
        description="Letters, digits, . _ -; one that you have is changed"
    )
    description: Annotated[str, Field(max_length=120)] = Field("", description="What it is for")
    vcpus: Annotated[int, Field(ge=1, le=LARGEST_VCPUS)] = Field(description="Virtual CPUs")
    memory_mib: Annotated[int, Field(ge=SMALLEST_MEMORY_MIB, le=LARGEST_MEMORY_MIB)] = Field(
        description="Memory, in MiB"
    )
    swap_mib: Annotated[int, Field(ge=0, le=LARGEST_MEMORY_MIB)] = Field(
        0, description="Swap, in MiB"
    )


@router.get("/sizes", response=list[SizeOut], summary="Sizes that you can launch with")
def list_sizes(request: ApiRequest) -> Any:
    return InstanceType.objects.offered_to(request.user)


@router.post("/sizes", response={201: SizeOut}, summary="Define a size of your own")
def save_size(request: ApiRequest, wanted: SizeIn) -> Status[InstanceType]:
    """It is within your quota, and nobody else sees it."""
    own = InstanceType.objects.filter(owner=request.user)
    known = own.filter(name=wanted.name.replace("\0", "")).first() or InstanceType()
    form = OwnTypeForm(wanted.dict(), instance=known)
    if not form.is_valid():
        field, errors = next(iter(form.errors.items()))
        raise Refused("size_invalid", str(errors[0]), field=field)
    size: InstanceType = form.save(commit=False)
    actions.save_own_type(size, owner=request.user)
    return Status(201, size)


@router.delete("/sizes/{str:name}", response={204: None}, summary="Delete a size of your own")
def delete_size(request: ApiRequest, name: str) -> Status[None]:
    """Machines keep the size that they have."""
    size = InstanceType.objects.filter(owner=request.user, name=name).first()
    if size is None:
        raise Http404
    actions.delete_own_type(size, by=request.user)
    return Status(204, None)
