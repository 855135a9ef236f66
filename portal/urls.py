from django.urls import include, path

from core import live
from portal import views

urlpatterns = [
    path("", views.home, name="home"),
    path("live/", live.stream, name="live"),
    path("healthz", views.healthz, name="healthz"),
    path("doctor/", views.doctor, name="doctor"),
    path("audit/", views.audit, name="audit"),
    path("help/", views.guide, name="help"),
    path("vms/", include("vms.urls")),
    path("marketplace/", include("marketplace.urls")),
    path("", include("registration.site_urls")),
    path("", include("registration.urls")),
]

handler404 = "portal.views.not_found"
handler500 = "portal.views.broken"
