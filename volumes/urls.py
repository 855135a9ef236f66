from django.urls import path

from volumes.views import disk, listing

app_name = "volumes"

urlpatterns = [
    path("", listing.index, name="list"),
    path("<uuid:key>/", disk.detail, name="detail"),
]
