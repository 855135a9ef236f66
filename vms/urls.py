from django.urls import include, path

from vms.views import (
    batches,
    building,
    consoles,
    contexts,
    disks,
    exporting,
    images,
    launching,
    listing,
    machine,
    people,
    person,
    recipes,
    sizes,
    tables,
    usage,
)

app_name = "vms"

_machines = [
    path("", listing.index, name="list"),
    path("bulk/", listing.bulk, name="bulk"),
    path("launch/", launching.launch, name="launch"),
    path("launch/fetch/", images.fetch, name="launch_elsewhere"),
    path("types/", sizes.types, name="types"),
    path("types/new/", sizes.edit_type, name="new_type"),
    path("types/<str:name>/", sizes.edit_type, name="type"),
    path("own-types/new/", sizes.edit_own_type, name="new_own_type"),
    path("own-types/<str:name>/", sizes.edit_own_type, name="own_type"),
    path("own-types/<str:name>/delete/", sizes.delete_own_type, name="delete_own_type"),
    path("types/<str:name>/prefer/", sizes.prefer_type, name="prefer_type"),
    path("export/", exporting.export, name="export"),
    path("builds/", building.index, name="builds"),
    path("builds/new/", building.new, name="new_build"),
    path("builds/<uuid:key>/", building.detail, name="build"),
    path("builds/<uuid:key>/log/", building.log, name="build_log"),
    path("builds/<uuid:key>/cancel/", building.cancel, name="cancel_build"),
    path("builds/<uuid:key>/save/", building.save, name="save_build"),
    path("batches/", batches.index, name="batches"),
    path("batches/new/", tables.new, name="new_batch"),
    path("batches/template.<str:ending>", tables.template, name="batch_template"),
    path("batches/<uuid:key>/", batches.detail, name="batch"),
    path("batches/<uuid:key>/kill/", batches.ask, {"verb": "kill"}, name="kill_batch"),
    path(
        "batches/<uuid:key>/shut-down/", batches.ask, {"verb": "shut_down"}, name="shut_down_batch"
    ),
    path("context/check/", contexts.look_on, name="context_check"),
    path("context/cloud-init.txt", contexts.exchange, name="context_file"),
    path("recipes/", recipes.index, name="recipes"),
    path("recipes/new/", recipes.new, name="new_recipe"),
    path("recipes/<uuid:key>/", recipes.detail, name="recipe"),
    path("recipes/<uuid:key>/delete/", recipes.delete, name="delete_recipe"),
    path("<uuid:key>/seed/", contexts.seed, name="seed"),
    path("<uuid:key>/", machine.detail, name="detail"),
    path("<uuid:key>/row/", listing.row, name="row"),
    path("<uuid:key>/shut-down/", machine.ask, {"verb": "shut_down"}, name="shut_down"),
    path("<uuid:key>/reboot/", machine.ask, {"verb": "reboot"}, name="reboot"),
    path("<uuid:key>/start/", machine.ask, {"verb": "start"}, name="start"),
    path("<uuid:key>/kill/", machine.ask, {"verb": "kill"}, name="kill"),
    path("<uuid:key>/usage.json", machine.usage, name="usage"),
    path("<uuid:key>/disks/", disks.choose, name="disks"),
    path("<uuid:key>/console/", consoles.console_page, name="console"),
    path("<uuid:key>/console/grant/", consoles.console_grant, name="console_grant"),
    path("<uuid:key>/console/log/", consoles.console_log, name="console_log"),
]

_users = [
    path("", people.index, name="people"),
    path("table.csv", people.table, name="people_table"),
    path("<uuid:key>/", person.detail, name="person"),
    path("<uuid:key>/quota/", person.quota, name="person_quota"),
    path("<uuid:key>/suspend/", person.suspend, name="suspend_person"),
    path("<uuid:key>/resume/", person.resume, name="resume_person"),
    path("<uuid:key>/close/", person.close, name="close_person"),
    path("<uuid:key>/act/", person.act, name="act_as"),
    path("<uuid:key>/ask/<slug:verb>/", person.ask, name="ask_person"),
]

# Pages about people, and some about disks, stand here because they show machines.
urlpatterns = [
    path("vms/", include(_machines)),
    path("volumes/<uuid:key>/attach/", disks.attach, name="attach_disk"),
    path("attachments/detach/", disks.detach_many, name="detach_disks"),
    path("attachments/<uuid:key>/detach/", disks.detach, name="detach_disk"),
    path("users/", include(_users)),
    path("usage/", usage.report, name="usage_report"),
    path("usage/table.csv", usage.table, name="usage_table"),
    path("profile/usage/", usage.mine, name="my_usage"),
]
