"""Disks in machines, for the two pages that show them."""

from collections.abc import Iterable
from typing import Any

from django import template

from registration.models import User
from volumes import plugged
from volumes.models import Volume

register = template.Library()


@register.simple_tag
def disks_of(vm: Any, user: User) -> list[plugged.Plugged]:
    return plugged.in_machine(vm, user)


@register.simple_tag
def disks_before(vm: Any, user: User) -> list[plugged.Plugged]:
    return plugged.before_in_machine(vm, user)


@register.simple_tag
def machines_of(volume: Volume, user: User) -> list[plugged.Plugged]:
    return plugged.of_disk(volume, user)


@register.simple_tag
def machines_before(volume: Volume, user: User) -> list[plugged.Plugged]:
    return plugged.before_of_disk(volume, user)


@register.simple_tag
def machines_hidden(volume: Volume, user: User) -> int:
    return plugged.hidden_holders(volume, user)


@register.filter
def that_can_go(plugs: Iterable[plugged.Plugged]) -> list[plugged.Plugged]:
    """Those that can be detached now, by who looks."""
    return [plug for plug in plugs if plug.can_go]
