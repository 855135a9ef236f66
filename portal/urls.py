from django.urls import include, path

from core import live
from portal import admin, api
from portal.views import audit, home, site

urlpatterns = [
    path("", home.home, name="home"),
    path("live/", live.stream, name="live"),
    path("healthz", site.healthz, name="healthz"),
    path("doctor/", site.doctor, name="doctor"),
    path("audit/", audit.everything, name="audit"),
    path("audit/table.csv", audit.table, name="audit_table"),
    path("profile/activity/", audit.own, name="activity"),
    path("help/", site.guide, name="help"),
    path("help/api/", site.api_guide, name="api_guide"),
    path("api/v1/", api.urls),
    path("admin/", admin.site.urls),
    path("", include("vms.urls")),
    path("marketplace/", include("marketplace.urls")),
    path("", include("marketplace.old_urls")),
    path("volumes/", include("volumes.urls")),
    path("", include("registration.site_urls")),
    path("", include("registration.urls")),
]

handler404 = "portal.views.faults.not_found"
handler500 = "portal.views.faults.broken"
