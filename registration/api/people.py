"""People and what is theirs, for programs."""

import uuid
from datetime import datetime
from typing import Annotated

from ninja import Field, Router, Schema, Status

from registration import actions, keys
from registration.bearer import ApiRequest
from registration.doors import find_or_404
from registration.models import Group, SshKey

router = Router()


class KeyOut(Schema):
    uuid: uuid.UUID
    name: str
    kind: str = Field(description="Its type for people, such as: RSA, 3072 bits")
    public_key: str = Field(description="One line, as OpenSSH writes it")
    fingerprint: str = Field(description="SHA256:…, as ssh-keygen -l prints it")
    is_default: bool = Field(description="Whether new machines are offered it first")
    created_at: datetime
    last_used_at: datetime | None = Field(description="When a machine was last given it")

    @staticmethod
    def resolve_kind(key: SshKey) -> str:
        return keys.describe(key.public_key)


class KeyIn(Schema):
    public_key: Annotated[str, Field(max_length=keys.LONGEST_TEXT)] = Field(
        description="As OpenSSH writes it, such as the line in ~/.ssh/id_ed25519.pub"
    )
    name: Annotated[str, Field(max_length=keys.LONGEST_NAME)] = Field(
        "", description="By default the comment at the end of the key"
    )
    is_default: bool = Field(False, description="New machines are offered it first")


class GroupOut(Schema):
    uuid: uuid.UUID
    name: str
    description: str
    role: str = Field(description="Yours in it: owner or member")
    size: int = Field(description="How many people are in it")


@router.get("/keys", response=list[KeyOut], summary="Your SSH keys", url_name="keys")
def list_keys(request: ApiRequest) -> list[SshKey]:
    return list(request.user.ssh_keys.all())


@router.post("/keys", response={201: KeyOut}, summary="Add an SSH key")
def add_key(request: ApiRequest, key: KeyIn) -> Status[SshKey]:
    added = actions.add_key(
        owner=request.user, text=key.public_key, name=key.name, is_default=key.is_default
    )
    return Status(201, added)


@router.delete(
    "/keys/{uuid:key}", response={204: None}, summary="Remove an SSH key", url_name="key"
)
def remove_key(request: ApiRequest, key: uuid.UUID) -> Status[None]:
    own = SshKey.objects.select_related("owner").filter(owner=request.user)
    actions.remove_key(find_or_404(own, request, "key_removed", uuid=key))
    return Status(204, None)


@router.get("/groups", response=list[GroupOut], summary="Your groups", url_name="groups")
def list_groups(request: ApiRequest) -> list[Group]:
    return list(Group.objects.of(request.user))
