"""The self-test of an installation: what is wrong, and how to put it right.

``run()`` asks everything anew and never fails: a check that cannot be made is a fault.
"""

from portal.doctor import host, identities, images, services, site
from portal.doctor.check import Check, Status

__all__ = ["Check", "Status", "run"]

_CHECKS = (
    host.qemu,
    host.acceleration,
    host.disk_space,
    host.clock,
    services.database,
    services.redis,
    services.workers,
    services.mail,
    services.outgoing_mail,
    identities.providers,
    identities.ldap,
    host.web_port,
    host.machine_ports,
    images.landing,
    images.copies,
    images.queue,
    images.sources,
    images.site_key,
    images.of_the_site,
    site.static_files,
    site.proxy,
    site.public_host,
    site.permissions,
    site.administrators,
)


def run() -> list[Check]:
    """Every check, in an order that puts causes before their effects."""
    return [check for ask in _CHECKS for check in ask()]
