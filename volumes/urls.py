from django.urls import path

from volumes.views import (
    bin,
    copying,
    disk,
    listing,
    making,
    offers,
    plots,
    sharing,
    snapshots,
    tus,
)

app_name = "volumes"

urlpatterns = [
    path("", listing.index, name="list"),
    path("new/", making.new, name="new"),
    path("delete/", making.delete_many, name="delete_many"),
    path("bin/", bin.index, name="bin"),
    path("bin/ask/", bin.bulk, name="bin_bulk"),
    path("bin/purge/", making.purge_many, name="purge_many"),
    path("uploads/", tus.begin, name="tus"),
    path("uploads/<uuid:key>", tus.upload, name="tus_upload"),
    path("offers/", offers.index, name="offers"),
    path("offers/notice/", offers.notice, name="offers_notice"),
    path("offers/<uuid:offer>/accept/", offers.accept, name="accept_offer"),
    path("offers/<uuid:offer>/decline/", offers.decline, name="decline_offer"),
    path("<uuid:key>/", disk.detail, name="detail"),
    path("<uuid:key>/change/", disk.change, name="change"),
    path("<uuid:key>/copy/", copying.copy, name="copy"),
    path("<uuid:key>/grow/", disk.grow, name="grow"),
    path("<uuid:key>/offer/", offers.offer, name="offer"),
    path("<uuid:key>/offer/withdraw/", offers.withdraw, name="withdraw_offer"),
    path("<uuid:key>/sharing/", sharing.index, name="sharing"),
    path("<uuid:key>/sharing/<int:share>/", sharing.change, name="change_share"),
    path("<uuid:key>/sharing/<int:share>/stop/", sharing.stop, name="stop_sharing"),
    path("<uuid:key>/snapshots/", snapshots.take, name="snapshot"),
    path(
        "<uuid:key>/snapshots/<uuid:snapshot>/restore/",
        snapshots.restore,
        name="restore_snapshot",
    ),
    path(
        "<uuid:key>/snapshots/<uuid:snapshot>/delete/",
        snapshots.delete,
        name="delete_snapshot",
    ),
    path("<uuid:key>/usage.json", plots.usage, name="usage"),
    path("<uuid:key>/row/", listing.row, name="row"),
    path("<uuid:key>/delete/", making.delete, name="delete"),
    path("<uuid:key>/purge/", making.purge, name="purge"),
    path("<uuid:key>/recover/", making.ask, {"verb": "recover"}, name="recover"),
    path("<uuid:key>/cancel/", making.ask, {"verb": "cancel"}, name="cancel"),
    path("<uuid:key>/dismiss/", making.ask, {"verb": "dismiss"}, name="dismiss"),
]
