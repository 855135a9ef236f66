from django.urls import path

from vms.views import consoles, launching, listing, machine, sizes

app_name = "vms"

urlpatterns = [
    path("", listing.index, name="list"),
    path("bulk/", listing.bulk, name="bulk"),
    path("launch/", launching.launch, name="launch"),
    path("types/", sizes.types, name="types"),
    path("types/new/", sizes.edit_type, name="new_type"),
    path("types/<str:name>/", sizes.edit_type, name="type"),
    path("types/<str:name>/prefer/", sizes.prefer_type, name="prefer_type"),
    path("<uuid:key>/", machine.detail, name="detail"),
    path("<uuid:key>/row/", listing.row, name="row"),
    path("<uuid:key>/shut-down/", machine.ask, {"verb": "shut_down"}, name="shut_down"),
    path("<uuid:key>/reboot/", machine.ask, {"verb": "reboot"}, name="reboot"),
    path("<uuid:key>/start/", machine.ask, {"verb": "start"}, name="start"),
    path("<uuid:key>/kill/", machine.ask, {"verb": "kill"}, name="kill"),
    path("<uuid:key>/usage.json", machine.usage, name="usage"),
    path("<uuid:key>/console/", consoles.console_page, name="console"),
    path("<uuid:key>/console/grant/", consoles.console_grant, name="console_grant"),
    path("<uuid:key>/console/log/", consoles.console_log, name="console_log"),
]
