from django.urls import path

from vms import views

app_name = "vms"

urlpatterns = [
    path("", views.index, name="list"),
    path("bulk/", views.bulk, name="bulk"),
    path("launch/", views.launch, name="launch"),
    path("types/", views.types, name="types"),
    path("types/new/", views.edit_type, name="new_type"),
    path("types/<str:name>/", views.edit_type, name="type"),
    path("<uuid:key>/", views.detail, name="detail"),
    path("<uuid:key>/row/", views.row, name="row"),
    path("<uuid:key>/shut-down/", views.shut_down, name="shut_down"),
    path("<uuid:key>/reboot/", views.reboot, name="reboot"),
    path("<uuid:key>/start/", views.start, name="start"),
    path("<uuid:key>/kill/", views.kill, name="kill"),
    path("<uuid:key>/usage.json", views.usage, name="usage"),
    path("<uuid:key>/console/", views.console_page, name="console"),
    path("<uuid:key>/console/grant/", views.console_grant, name="console_grant"),
    path("<uuid:key>/console/log/", views.console_log, name="console_log"),
]
