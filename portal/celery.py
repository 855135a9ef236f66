"""The Celery application. Tasks only ring and step; plans live in rows."""

import os
import threading
from importlib import import_module
from typing import Any

from celery import Celery
from celery.signals import task_prerun, worker_ready, worker_shutting_down
from kombu.transport.redis import Channel

from core.logs import request_id

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

# A worker that loses Redis with bells in its hands tries to give them back to it, and dies
# of that (kombu 5.7, Channel.close). They are not worth it: the sweep rings again.
Channel.do_restore = False

app = Celery("portal")
_stop = threading.Event()
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # A bell is rung from a page: it fails at once, and the sweep makes it good. Without
    # max_retries a broken connection is waited for, 4 s and more (kombu Connection).
    # A Redis that hangs must not hang us; above the second that kombu's BRPOP waits.
    broker_transport_options={
        "socket_connect_timeout": 2,
        "socket_timeout": 5,
        "max_retries": 0,
    },
    task_publish_retry=False,
    worker_prefetch_multiplier=4,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    timezone="UTC",
    # Messages that nobody fetched in time are not worth having: the next one says the same.
    beat_schedule={
        "vms.sweep": {"task": "vms.sweep", "schedule": 2.0, "options": {"expires": 2}},
        "marketplace.sweep": {
            "task": "marketplace.sweep",
            "schedule": 2.0,
            "options": {"expires": 2},
        },
        "marketplace.tidy": {
            "task": "marketplace.tidy",
            "schedule": 60.0,
            "options": {"expires": 60},
        },
        "marketplace.check_locations": {
            "task": "marketplace.check_locations",
            "schedule": 3600.0,
            "options": {"expires": 3600},
        },
        "marketplace.check_new_locations": {
            "task": "marketplace.check_new_locations",
            "schedule": 20.0,
            "options": {"expires": 20},
        },
        "marketplace.remind": {
            "task": "marketplace.remind",
            "schedule": 3600.0,
            "options": {"expires": 3600},
        },
        "marketplace.tell": {
            "task": "marketplace.tell",
            "schedule": 60.0,
            "options": {"expires": 60},
        },
        # The bell of a changed list may have got lost.
        "marketplace.weigh": {
            "task": "marketplace.weigh",
            "schedule": 86400.0,
            "options": {"expires": 3600},
        },
        "marketplace.learn_words": {
            "task": "marketplace.learn_words",
            "schedule": 60.0,
            "options": {"expires": 60},
        },
        "volumes.sweep": {"task": "volumes.sweep", "schedule": 2.0, "options": {"expires": 2}},
        "volumes.tidy": {"task": "volumes.tidy", "schedule": 60.0, "options": {"expires": 60}},
        "volumes.compare": {
            "task": "volumes.compare",
            "schedule": 300.0,
            "options": {"expires": 300},
        },
        "vms.reconcile": {"task": "vms.reconcile", "schedule": 15.0, "options": {"expires": 15}},
        "vms.make_room": {
            "task": "vms.make_room",
            "schedule": 300.0,
            "options": {"expires": 300},
        },
        "vms.let_go": {"task": "vms.let_go", "schedule": 20.0, "options": {"expires": 20}},
        "vms.leases": {"task": "vms.leases", "schedule": 60.0, "options": {"expires": 60}},
        "vms.sample": {"task": "vms.sample", "schedule": 60.0, "options": {"expires": 60}},
        "registration.deliver": {
            "task": "registration.deliver",
            "schedule": 5.0,
            "options": {"expires": 5},
        },
        "registration.sweep": {
            "task": "registration.sweep",
            "schedule": 5.0,
            "options": {"expires": 5},
        },
        "registration.digest": {
            "task": "registration.digest",
            "schedule": 300.0,
            "options": {"expires": 300},
        },
        "registration.tidy": {
            "task": "registration.tidy",
            "schedule": 3600.0,
            "options": {"expires": 3600},
        },
        "portal.tidy": {"task": "portal.tidy", "schedule": 3600.0, "options": {"expires": 3600}},
    },
)
app.autodiscover_tasks()


@task_prerun.connect
def name_the_work(task_id: str = "", **_: Any) -> None:
    """The log and the audit of a task carry its id, not that of the thread's last work."""
    request_id.set(task_id)


@worker_ready.connect
def listen_to_clouds(**_: Any) -> None:
    """Every worker hears from the engines what has changed, until it stops."""
    # Models are importable only now, with Django set up by the worker.
    import_module("vms.watch").start(_stop)


@worker_shutting_down.connect
def stop_listening(**_: Any) -> None:
    _stop.set()
