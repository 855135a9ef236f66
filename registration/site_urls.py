"""Names that belong to the whole site, without a namespace."""

from django.urls import path

from registration.views import entrance

urlpatterns = [
    path("login/", entrance.sign_in, name="login"),
    path("logout/", entrance.sign_out, name="logout"),
    path("policies/", entrance.policies, name="policies"),
]
