"""Snapshots inside a volume's own file: by its QEMU while one writes to it, else by qemu-img."""

from cloud.errors import CloudBusy, CloudRefused, NotFound
from cloud.local import plugs, qcow2, reading, volumes
from cloud.local.site import Site, is_machine_name
from cloud.local.volumes import Volume


def create(site: Site, ref: str, *, token: str) -> None:
    """Keep what the volume holds now. Quiet if ``token`` is kept already."""
    if not is_machine_name(token):
        raise CloudRefused("A snapshot is named by a UUID.", detail=token)
    volume = Volume(site, ref)
    with volume.alone() as writer:
        info = volume.load()
        if token in info.snapshots:
            return
        if len(info.snapshots) >= qcow2.MOST_SNAPSHOTS:
            raise CloudRefused(f"This disk has {len(info.snapshots)} snapshots: delete some first.")
        if not site.free_disk_bytes():
            raise CloudBusy(volumes.full(site))
        if writer and writer.run:
            volumes.let_grow(volume, writer, info.size_bytes)
            names = {"device": writer.node, "name": token}
            volumes.ask(volume, writer, "blockdev-snapshot-internal-sync", **names)
        else:
            reading.refuse_if_read(site, ref, reading.NOW)
            volumes.edit(volume, "snapshot", "-q", "-c", token)


def restore(site: Site, ref: str, *, token: str) -> None:
    """Have the volume hold again what it did then, with the size that it had."""
    volume = Volume(site, ref)
    with volume.alone():
        if token not in volume.load().snapshots:
            raise NotFound("This disk has no such snapshot.", detail=token)
        plugs.refuse_if_held(site, ref)
        reading.refuse_if_read(site, ref, reading.NOW)
        volumes.edit(volume, "snapshot", "-q", "-a", token)


def delete(site: Site, ref: str, *, token: str) -> None:
    """Forget a snapshot. Quiet if gone, as is the volume."""
    volume = Volume(site, ref)
    if volume.find() is None:
        return
    with volume.alone() as writer:
        if token not in volume.load().snapshots:
            return
        reading.refuse_if_read(site, ref, reading.NOW, reading.THEN)
        if writer and writer.run:
            names = {"device": writer.node, "name": token}
            volumes.ask(volume, writer, "blockdev-snapshot-delete-internal-sync", **names)
        else:
            volumes.edit(volume, "snapshot", "-q", "-d", token)
