"""Make images of machines, for programs."""

import uuid
from typing import Annotated

from ninja import Field, Schema, Status

from registration.bearer import ApiRequest
from vms import actions
from vms.actions.saving import (
    LONGEST_AUTHOR,
    LONGEST_COMMENT,
    LONGEST_TITLE,
    LONGEST_VERSION,
    Image,
)
from vms.api.machines import ASKED, MachineOut, find, router


class ImageIn(Schema):
    """What an image is called, and whose it is: all of it is required."""

    title: Annotated[str, Field(min_length=1, max_length=LONGEST_TITLE)] = Field(
        description="What people see first; its disk is named by it"
    )
    comment: Annotated[str, Field(min_length=1, max_length=LONGEST_COMMENT)] = Field(
        description="What is in it: the description of its entry"
    )
    author: Annotated[str, Field(min_length=1, max_length=LONGEST_AUTHOR)] = Field(
        description="Who makes it"
    )
    email: Annotated[str, Field(min_length=3, max_length=254)] = Field(
        description="The author's address. The mail goes to your own in any case"
    )
    version: Annotated[str, Field(min_length=1, max_length=LONGEST_VERSION)] = Field(
        description="Yours to count"
    )

    def image(self) -> Image:
        return Image(**self.dict())


class SaveIn(Schema):
    image: ImageIn | None = Field(None, description="Null: as it is planned")
    power_off: bool = Field(
        False, description="Pull the plug: what the guest has not written is not in the image"
    )


@router.post("/vms/{uuid:vm}/save", response=ASKED, url_name="vm_save",
             summary="Shut a machine down, and make its disk an image")  # fmt: skip
def save(request: ApiRequest, vm: uuid.UUID, wanted: SaveIn | None = None) -> Status[object]:
    """One that is halted is saved at once. Then the machine ends.

    Look at it until its saving is done. A guest that ignores the power button goes on running,
    and its image stays planned.
    """
    machine = find(request, vm, verb="save")
    image = wanted.image.image() if wanted and wanted.image else None
    power_off = bool(wanted and wanted.power_off)
    actions.save(machine, image, by=request.user, power_off=power_off)
    return Status(202, find(request, vm))


@router.put("/vms/{uuid:vm}/saving", response=MachineOut, url_name="vm_saving",
            summary="Have a machine become an image when it is shut down")  # fmt: skip
def plan(request: ApiRequest, vm: uuid.UUID, wanted: ImageIn) -> object:
    actions.plan_saving(find(request, vm, verb="plan_saving"), wanted.image(), by=request.user)
    return find(request, vm)


@router.delete("/vms/{uuid:vm}/saving", response=MachineOut,
               summary="Have a machine end without an image")  # fmt: skip
def drop(request: ApiRequest, vm: uuid.UUID) -> object:
    actions.drop_saving(find(request, vm, verb="drop_saving"), by=request.user)
    return find(request, vm)
