from django.urls import path

from registration.views import (
    acting,
    addresses,
    entrance,
    keys,
    mails,
    policies,
    profile,
    queue,
    reset,
    standing,
)

app_name = "registration"
urlpatterns = [
    path("register/", entrance.register, name="register"),
    path("register/sent/", entrance.sent, name="sent"),
    path("register/standing/", standing.index, name="standing"),
    path(
    path("register/standing/now/", standing.timeline, name="timeline"),
    path("register/standing/resend/", standing.resend, name="resend"),
    path("register/standing/correct/", standing.correct, name="correct"),
    path("register/standing/withdraw/", standing.withdraw, name="withdraw"),
    path("register/standing/again/", standing.apply_again, name="apply_again"),
        "register/confirm/<uuid:uid>/<slug:token>/", addresses.confirm_email, name="confirm_email"
    ),
    path("policies/agree/", policies.agree, name="agree"),
    path("policies/<int:version>/", policies.version, name="policy"),
    path("acting/stop/", acting.stop, name="stop_acting"),
    path("registrations/", queue.index, name="queue"),
    path("registrations/<uuid:uuid>/", queue.person, name="person"),
    path("registrations/<uuid:uuid>/row/", queue.row, name="row"),
    path("registrations/<uuid:uuid>/quota/", queue.quota, name="quota"),
    path("registrations/<uuid:uuid>/<slug:verb>/", queue.decide, name="decide"),
    path("mails/", mails.index, name="mails"),
    path("mails/<slug:key>/", mails.detail, name="mail"),
    path("profile/", profile.profile, name="profile"),
    path("profile/defaults/", profile.defaults, name="profile_defaults"),
    path("profile/email/", addresses.new_email, name="new_email"),
    path("profile/email/cancel/", addresses.cancel, name="new_email_cancel"),
    path(
        "profile/email/<uuid:uid>/<slug:token>/",
        addresses.confirm_new_email,
        name="new_email_confirm",
    ),
    path("profile/password/", profile.password, name="password"),
    path("profile/keys/", keys.index, name="keys"),
    path("profile/keys/add/", keys.add, name="add_key"),
    path("profile/keys/<uuid:uuid>/rename/", keys.rename, name="rename_key"),
    path("profile/keys/<uuid:uuid>/default/", keys.make_default, name="make_default_key"),
    path("profile/keys/<uuid:uuid>/remove/", keys.remove, name="remove_key"),
    path("reset/", reset.ask, name="reset"),
    path("reset/sent/", reset.sent, name="reset_sent"),
    path("reset/<uuid:uid>/<slug:token>/", reset.confirm, name="reset_confirm"),
    path("reset/<uuid:uid>/<slug:token>/cancel/", reset.cancel, name="reset_cancel"),
]
