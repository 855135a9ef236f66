"""What a machine's page says of private networks: what they are for, and addresses by hand."""

import pytest
from django.utils import timezone

from registration.tests.factories import UserFactory
from vms import actions
from vms.models import CloudStatus
from vms.tests.test_networks import entry, look, network, order, owner  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db


@pytest.fixture
def vm(owner, entry, worker):  # noqa: F811
    found = actions.launch(owner=owner, order=order(entry))
    look(worker)
    found.refresh_from_db()
    return found


def page(client, vm, user):
    client.force_login(user)
    return client.get(vm.get_absolute_url()).content.decode()


def test_a_machine_without_a_network_tells_its_owner_what_they_are_for(vm, owner, client):  # noqa: F811
    shown = page(client, vm, owner)
    assert "It is on no private network." in shown
    assert 'href="/vms/networks/new/"' in shown
    assert "It is on no private network." not in page(client, vm, UserFactory(is_staff=True))


def test_with_a_network_of_ones_own_the_hint_leads_to_the_button(
    vm, owner, network, worker, client  # noqa: F811
):  # fmt: skip
    look(worker, 2)
    shown = page(client, vm, owner)
    assert "Attach one of yours below." in shown
    assert 'name="network"' in shown


def test_where_there_are_no_networks_nothing_is_hinted(vm, owner, client):  # noqa: F811
    CloudStatus.objects.update_or_create(
        cloud="local",
        defaults={"lacks": {"networks": "This site has none."}, "seen_at": timezone.now()},
    )
    assert "It is on no private network." not in page(client, vm, owner)


def test_a_card_that_came_later_has_its_address_by_a_line_to_copy(
    vm, owner, network, worker, client  # noqa: F811
):  # fmt: skip
    look(worker, 2)
    nic = actions.attach_nic(vm, network, by=owner)
    type(nic).objects.filter(pk=nic.pk).update(created_at=timezone.now())
    type(vm).objects.filter(pk=vm.pk).update(created_at=vm.created_at.replace(year=2020))
    assert "came while the machine ran" not in page(client, vm, owner)  # it is not in yet
    look(worker, 2)
    shown = page(client, vm, owner)
    line = (
        f"card=$(grep -l {nic.mac} /sys/class/net/*/address | cut -d/ -f5); "
        f"sudo ip link set &quot;$card&quot; up &amp;&amp; sudo ip addr add {nic.address} dev "
        "&quot;$card&quot;"
    )
    assert f'data-copy="{line if vm.login != "root" else line.replace("sudo ", "")}"' in shown
    assert f'id="by-hand-{nic.uuid}" open' in shown
    assert "It is on no private network." not in shown


def test_a_card_from_the_start_needs_no_line(owner, entry, network, worker, client):  # noqa: F811
    vm = actions.launch(owner=owner, order=order(entry, networks=(network,)))
    look(worker, 8)
    vm.refresh_from_db()
    shown = page(client, vm, owner)
    assert network.cidr.rsplit(".", 1)[0] in shown
    assert "came while the machine ran" not in shown
