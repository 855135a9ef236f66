"""Webhooks: what is sent, signed, tried again, given up; and what nobody may send to."""

import hashlib
import hmac
import json
import threading
from datetime import timedelta

import pytest
import time_machine
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.errors import Refused
from core.fetch import Unfetchable, networks
from core.machine import tick
from core.models import Event
from core.posting import post
from core.tests.webserver import Server, says
from registration import actions
from registration.lifecycle import DELIVERY_STEPS
from registration.lifecycle.delivering import PAUSES
from registration.models import Delivery, Notification, Webhook
from registration.states import DeliveryState
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db
NOW = timezone.now().replace(microsecond=0)


@pytest.fixture
def server(settings):
    """A receiver on loopback, which the site allows for once."""
    found = Server()
    found.answers["/hook"] = says(200, b"thank you")
    settings.PORTAL_FETCH_NETWORKS = ["127.0.0.0/8"]
    settings.PORTAL_FETCH_PORTS = [found.http.server_port]
    yield found
    found.close()


@pytest.fixture
def hook(alice, server):
    return actions.add_webhook(owner=alice, url=server.url("/hook"), kinds=["machine_ready"])[0]


def tell(user, kind="machine_ready"):
    with transaction.atomic():
        actions.notify(user, kind, sentence="The machine web-1 is ready.", url="/vms/")
    return Delivery.objects.order_by("-pk").first()


def try_now(delivery):
    delivery = Delivery.objects.select_related("webhook__owner").get(pk=delivery.pk)
    tick(delivery, DELIVERY_STEPS, is_long=True)
    delivery.refresh_from_db()
    return delivery


def test_what_arrives_is_signed_and_says_what_happened(alice, server, settings):
    made = {"owner": alice, "url": server.url("/hook"), "kinds": ["machine_ready"]}
    hook, secret = actions.add_webhook(**made)
    assert secret not in hook.sealed_secret
    delivery = try_now(tell(alice))
    assert delivery.state == DeliveryState.DELIVERED
    (asked,) = server.asked
    body = asked["body"]
    said = dict(part.split("=", 1) for part in asked["x-stratuslab-signature"].split(","))
    right = hmac.new(secret.encode(), f"{said['t']}.{body}".encode(), hashlib.sha256).hexdigest()
    assert said["v1"] == right
    assert asked["x-stratuslab-delivery"] == str(delivery.uuid)
    assert asked["x-stratuslab-event"] == "machine_ready"
    told = json.loads(body)
    assert told["id"] == str(Notification.objects.get().uuid)
    assert (told["kind"], told["sentence"]) == ("machine_ready", "The machine web-1 is ready.")
    assert told["url"] == f"{settings.PORTAL_URL}/vms/"
    (attempt,) = delivery.attempts.all()
    assert (attempt.status, attempt.answer, attempt.error) == (200, "thank you", "")


def test_only_what_was_chosen_is_sent_and_only_while_it_is_on(alice, hook):
    assert tell(alice, "disk_imported") is None
    actions.change_webhook(hook, url=hook.url, kinds=hook.kinds, is_on=False, by=alice)
    assert tell(alice) is None


def test_it_is_tried_again_later_each_time_and_then_given_up(alice, hook, server):
    server.answers["/hook"] = says(503, b"not now")
    with time_machine.travel(NOW, tick=False) as clock:
        delivery = tell(alice)
        for number, pause in enumerate(PAUSES, start=1):
            delivery = try_now(delivery)
            assert (delivery.state, delivery.tries) == (DeliveryState.WAITING, number)
            assert delivery.next_tick_at == timezone.now() + pause
            assert "503" in delivery.reason
            assert try_now(delivery).tries == number  # not before its time
            clock.shift(pause)
        delivery = try_now(delivery)
    assert delivery.state == DeliveryState.GIVEN_UP
    assert delivery.reason.startswith("Given up after 6 tries. It answers 503")
    assert [one["x-stratuslab-attempt"] for one in server.asked] == list("123456")
    assert len({one["x-stratuslab-delivery"] for one in server.asked}) == 1
    hook.refresh_from_db()
    assert hook.is_on  # a day of silence is not days


def test_after_days_it_is_switched_off_and_its_owner_told(alice, hook, server):
    server.answers["/hook"] = says(500)
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(4):
            delivery = tell(alice)
            for pause in (*PAUSES, timedelta(hours=12)):
                delivery = try_now(delivery)
                clock.shift(pause)
    hook.refresh_from_db()
    assert not hook.is_on
    told = Notification.objects.get(kind="webhook_off")
    assert "Nothing was delivered for 3 days" in told.sentence
    assert Event.objects.filter(verb="webhook_off", owner=alice).count() == 1
    actions.change_webhook(hook, url=hook.url, kinds=hook.kinds, is_on=True, by=alice)
    hook.refresh_from_db()
    assert (hook.off_reason, hook.failing_since) == ("", None)


def test_an_answer_makes_good_what_failed_before(alice, hook, server):
    server.answers["/hook"] = says(500)
    with time_machine.travel(NOW, tick=False) as clock:
        delivery = try_now(tell(alice))
        server.answers["/hook"] = says(204)
        clock.shift(PAUSES[0])
        assert try_now(delivery).state == DeliveryState.DELIVERED
    hook.refresh_from_db()
    assert hook.failing_since is None


def test_a_redirect_is_not_followed(alice, hook, server):
    server.answers["/hook"] = says(307, location="/elsewhere")
    delivery = try_now(tell(alice))
    assert "sends us elsewhere" in delivery.reason
    assert [one["path"] for one in server.asked] == ["/hook"]


def test_where_nobody_answers_the_others_wait_too(alice, hook, server):
    server.close()
    first, second = tell(alice), tell(alice)
    first = try_now(first)
    assert first.tries == 1
    second = try_now(second)
    assert second.tries == 0
    assert second.next_tick_at > timezone.now() + timedelta(seconds=30)


def test_a_worker_killed_in_the_middle_has_tried_and_another_goes_on(alice, hook, server):
    with time_machine.travel(NOW, tick=False) as clock:
        delivery = tell(alice)
        row = Delivery.objects.select_related("webhook__owner").get(pk=delivery.pk)
        with pytest.raises(KeyboardInterrupt):
            tick(row, {DeliveryState.WAITING: _die_in_the_middle})
        assert try_now(delivery).tries == 1  # its next try is booked, a minute from now
        clock.shift(PAUSES[0])
        delivery = try_now(delivery)
    assert (delivery.state, delivery.tries) == (DeliveryState.DELIVERED, 2)
    assert [one.number for one in delivery.attempts.all()] == [1, 2]
    assert delivery.attempts.first().took_ms is None


def _die_in_the_middle(delivery, cloud):
    delivery.webhook.sealed_secret = _Deadly()
    return DELIVERY_STEPS[DeliveryState.WAITING](delivery, cloud)


class _Deadly(str):
    __slots__ = ()

    def encode(self, *_):
        raise KeyboardInterrupt


def test_sending_again_sends_the_same_body_under_the_same_id(alice, hook, server):
    delivery = try_now(tell(alice))
    actions.send_again(delivery, by=alice)
    assert try_now(delivery).state == DeliveryState.DELIVERED
    first, second = server.asked
    assert first["body"] == second["body"]
    assert first["x-stratuslab-delivery"] == second["x-stratuslab-delivery"]
    again = Delivery.objects.select_related("webhook").get()
    with pytest.raises(Refused, match="somebody else's"):
        actions.send_again(again, by=UserFactory())
    actions.send_again(again, by=alice)
    with pytest.raises(Refused, match="waiting already"):
        actions.send_again(again, by=alice)


def test_a_test_goes_out_even_while_it_is_off(alice, hook, server):
    actions.change_webhook(hook, url=hook.url, kinds=hook.kinds, is_on=False, by=alice)
    delivery = actions.test_webhook(hook, by=alice)
    assert try_now(delivery).state == DeliveryState.DELIVERED
    assert json.loads(server.asked[0]["body"])["kind"] == "test"


def test_nothing_goes_out_for_a_closed_account(alice, hook, server):
    delivery = tell(alice)
    type(alice).objects.filter(pk=alice.pk).update(state="closed")
    assert try_now(delivery).state == DeliveryState.GIVEN_UP
    assert not server.asked


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://hooks.example.org/", "begins with https"),
        ("https://me:secret@hooks.example.org/", "password"),
        ("https://hooks.example.org:22/", "Port 22"),
        ("https://hooks.example.org/" + "a" * 500, "500"),
        ("no address", "blanks"),
    ],
)
def test_addresses_that_are_refused_are_refused_with_the_reason(alice, url, why):
    with pytest.raises(Refused, match=why):
        actions.add_webhook(owner=alice, url=url, kinds=["machine_ready"])


def test_a_private_network_is_not_posted_to(alice, hook, server, settings):
    settings.PORTAL_FETCH_NETWORKS = []
    delivery = try_now(tell(alice))
    assert "inside a private network" in delivery.reason
    assert not server.asked


def test_a_person_has_ten_webhooks_at_most(alice, server):
    made = {"owner": alice, "url": server.url("/hook"), "kinds": ["machine_ready"]}
    for _ in range(actions.MOST_WEBHOOKS):
        actions.add_webhook(**made)
    with pytest.raises(Refused, match="10 webhooks"):
        actions.add_webhook(**made)
    with pytest.raises(Refused, match="at least one kind"):
        actions.add_webhook(owner=alice, url=made["url"], kinds=[])


def test_an_answer_that_never_ends_is_cut_off(server, settings):
    server.answers["/hook"] = says(200, b"x" * 10_000_000)
    found = post(server.url("/hook"), b"{}", {}, allowed=networks(["127.0.0.0/8"]),
                 ports=settings.PORTAL_FETCH_PORTS)  # fmt: skip
    assert len(found.text) == 2048


def test_a_server_that_drips_is_hung_up_on(server, settings, monkeypatch):
    monkeypatch.setattr("core.posting.WHOLE_S", 0.3)

    pause = threading.Event()

    def drip(request):
        for letter in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100:
            request.wfile.write(bytes([letter]))
            request.wfile.flush()
            pause.wait(0.02)

    server.answers["/hook"] = drip
    with pytest.raises(Unfetchable):
        post(server.url("/hook"), b"{}", {}, allowed=networks(["127.0.0.0/8"]),
             ports=settings.PORTAL_FETCH_PORTS)  # fmt: skip


class TestPages:
    def test_the_secret_is_shown_once(self, alice, server, signed_in):
        client = signed_in(alice)
        form = {"url": server.url("/hook"), "kinds": ["machine_ready", "disk_imported"]}
        page = client.post("/profile/webhooks/new/", form)
        assert "whsec_" in page.text
        hook = Webhook.objects.get()
        assert "whsec_" not in client.get(f"/profile/webhooks/{hook.uuid}/").text
        assert server.url("/hook") in client.get("/profile/webhooks/").text
        page = client.post(f"/profile/webhooks/{hook.uuid}/secret/")
        assert "whsec_" in page.text

    def test_a_refused_address_is_told_beside_its_field(self, alice, signed_in):
        form = {"url": "ftp://example.org", "kinds": ["machine_ready"]}
        page = signed_in(alice).post("/profile/webhooks/new/", form)
        assert page.status_code == 422
        assert "begins with https" in page.text

    def test_the_log_shows_tries_and_answers_at_a_constant_cost(
        self, alice, hook, server, signed_in
    ):
        client = signed_in(alice)
        url = f"/profile/webhooks/{hook.uuid}/"
        assert "Nothing was sent yet" in client.get(url).text
        server.answers["/hook"] = says(500, b"<b>broken</b>")
        try_now(tell(alice))
        page = client.get(url).text
        assert "&lt;b&gt;broken" in page
        assert "answer 500" in page
        with CaptureQueriesContext(connection) as few:
            client.get(url)
        for _ in range(10):
            actions.test_webhook(hook, by=alice)
        with CaptureQueriesContext(connection) as many:
            client.get(url)
        assert len(many) == len(few)

    def test_everything_is_the_owners_alone(self, alice, admin, hook, signed_in):
        delivery = tell(alice)
        client = signed_in(admin)
        assert client.get(f"/profile/webhooks/{hook.uuid}/").status_code == 404
        for url in (
            f"/profile/webhooks/{hook.uuid}/test/",
            f"/profile/webhooks/{hook.uuid}/secret/",
            f"/profile/webhooks/{hook.uuid}/remove/",
            f"/profile/webhooks/deliveries/{delivery.uuid}/again/",
        ):
            assert client.post(url).status_code == 404

    def test_it_is_changed_tested_and_removed(self, alice, hook, server, signed_in):
        client = signed_in(alice)
        url = f"/profile/webhooks/{hook.uuid}/"
        client.post(url, {"url": server.url("/hook"), "kinds": ["disk_imported"]})
        hook.refresh_from_db()
        assert (hook.kinds, hook.is_on) == (["disk_imported"], False)
        client.post(f"{url}test/")
        delivery = try_now(Delivery.objects.get())
        client.post(f"/profile/webhooks/deliveries/{delivery.uuid}/again/")
        delivery.refresh_from_db()
        assert delivery.state == DeliveryState.WAITING
        client.post(f"{url}remove/")
        assert not Webhook.objects.exists()
