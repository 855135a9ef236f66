"""The pages that are measured, on whatever machines there are now."""

from urllib.parse import urlencode

from django.db.models import Count

from marketplace.models import Entry
from portal.demo import CLOUD
from vms.models import VM
from vms.states import VmState

LAST = 1_000_000  # the paginator's own way to say: the last one


def subject() -> VM:
    """A running machine of the person who has the most machines."""
    made_up = VM.objects.filter(cloud=CLOUD)
    busiest = made_up.order_by().values("owner").annotate(vms=Count("pk")).order_by("-vms")[0]
    return made_up.filter(owner=busiest["owner"], state=VmState.RUNNING).latest("pk")


def paths(vm: VM) -> dict[str, str]:
    """Names of pages and where they are, for the owner of ``vm`` and for administrators."""
    entry = Entry.objects.launchable()[0]
    return {
        "list": "/vms/",
        "list, search": f"/vms/?{urlencode({'q': vm.name.split('-')[0]})}",
        "list, search by address": f"/vms/?q={vm.address}",
        "list, filter": "/vms/?state=running",
        "list, all states": "/vms/?state=all",
        "list, sorted by name": "/vms/?sort=name",
        "list, sorted by CPU": "/vms/?sort=-cpu",
        "list, last page": f"/vms/?state=all&page={LAST}",
        "home": "/",
        "marketplace": "/marketplace/",
        "marketplace, search": f"/marketplace/?{urlencode({'q': entry.os})}",
        "image": f"/marketplace/metadata/{entry.identifier}/",
        "machine": f"/vms/{vm.uuid}/",
        "row of a machine": f"/vms/{vm.uuid}/row/",
        "plots of a machine": f"/vms/{vm.uuid}/usage.json",
    }
