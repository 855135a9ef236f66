from django.urls import path, re_path, register_converter

from marketplace import identifiers
from marketplace.views import (
    arrivals,
    building,
    catalogue,
    certificates,
    confirming,
    copies,
    drafts,
    endorsers,
    endorsing,
    entries,
    files,
    inspections,
    keys,
    lists,
    policy,
    publications,
    registering,
    sources,
    uploads,
    withdrawing,
)


class IdentifierConverter:
    regex = identifiers.PATTERN

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(IdentifierConverter, "image")

app_name = "marketplace"

urlpatterns = [
    path("", catalogue.catalogue, name="catalogue"),
    re_path(r"^metadata/*$", lists.metadata, name="metadata"),
    # With a slash at the end or without, and with several between: as StratusLab's own.
    re_path(rf"^metadata/+(?P<identifier>{identifiers.PATTERN})/*$", entries.entry, name="entry"),
    re_path(
        rf"^metadata/+(?P<identifier>{identifiers.PATTERN})/+(?P<email>[^/]+)/+(?P<created>[^/]+)/*$",
        entries.endorsement,
        name="endorsement",
    ),
    re_path(r"^metadata/+(?P<parts>[^/]+(?:/+[^/]+){0,2})/*$", entries.parts, name="entries"),
    re_path(r"^tag/+(?P<email>[^/]+)/+(?P<tag>.+?)/*$", entries.tag, name="tag"),
    re_path(r"^endorsers/*$", endorsers.endorsers, name="endorsers"),
    re_path(r"^endorsers/+(?P<email>[^/]+)/*$", endorsers.endorser, name="endorser"),
    re_path(r"^endorsers/+(?P<email>[^/]+)/+tags/*$", endorsers.tags, name="endorser_tags"),
    path("copies/<uuid:key>/", copies.copy, name="copy"),
    path("copies/<uuid:key>/stop/", copies.stop, name="stop_copy"),
    re_path(rf"^files/(?P<identifier>{identifiers.PATTERN})/?$", files.file, name="file"),
    path("inspections/<uuid:key>/", inspections.inspection, name="inspection"),
    path("inspections/<uuid:key>/clean/", inspections.clean, name="clean"),
    path("inspect/<uuid:key>/", inspections.inspect, name="inspect"),
    path("publications/", publications.index, name="publications"),
    path("publications/decide/", publications.decide_many, name="decide_publications"),
    path("publications/ask/<uuid:key>/", publications.ask, name="ask_publication"),
    path("publications/<uuid:key>/", publications.publication, name="publication"),
    path("publications/<uuid:key>/row/", publications.row, name="publication_row"),
    path("publications/<uuid:key>/withdraw/", publications.withdraw, name="withdraw_publication"),
    path("publications/<uuid:key>/<slug:verb>/", publications.decide, name="decide_publication"),
    path("policy/", policy.index, name="policy"),
    path("policy/policy.cfg", policy.file, name="policy_file"),
    path("build/", building.build, name="build"),
    path("build/file/", building.from_file, name="build_of_file"),
    path("build/entry/<uuid:key>/", building.from_entry, name="build_of_entry"),
    path("measure/", building.measure, name="measure"),
    path("drafts/", drafts.index, name="drafts"),
    path("drafts/<uuid:key>/", drafts.draft, name="draft"),
    path("drafts/<uuid:key>/preview/", drafts.preview, name="draft_preview"),
    path("drafts/<uuid:key>/sign/", drafts.sign, name="sign"),
    path("drafts/<uuid:key>/drop/", drafts.drop, name="draft_drop"),
    path("drafts/<uuid:key>/retry/", drafts.retry, name="draft_retry"),
    path("entries/<uuid:key>/deprecate/", endorsing.deprecate, name="deprecate"),
    path("entries/<uuid:key>/remove/", endorsing.remove, name="remove"),
    path("register/", registering.make_images, name="make_images"),
    path("entries/<uuid:key>/extend/", endorsing.extend, name="extend"),
    path("entries/<uuid:key>/endorse/", endorsing.endorse, name="endorse"),
    path("entries/<uuid:key>/readers/", endorsing.set_readers, name="readers"),
    path("keys/", keys.index, name="keys"),
    path("keys/new/", keys.make, name="new_key"),
    path("keys/site/end/", keys.end_site, name="end_site"),
    path("keys/<uuid:key>/end/", keys.end, name="end_key"),
    path("keys/<uuid:key>/certificate.pem", keys.certificate, name="key_certificate"),
    path("site-certificate.pem", keys.site_certificate, name="site_certificate"),
    path("site-certificates.pem", keys.site_certificates, name="site_certificates"),
    path("site-certificates/<uuid:key>.pem", keys.site_certificate_of, name="site_certificate_of"),
    re_path(r"^upload/*$", uploads.page, name="upload"),
    path("upload/fetch/", uploads.fetch, name="fetch"),
    path("upload/<uuid:key>/", uploads.pending, name="pending"),
    path("upload/<uuid:key>/withdraw/", withdrawing.withdraw, name="pending_withdraw"),
    path("confirm/<uuid:key>/<str:token>/", confirming.confirm, name="confirm"),
    path("arrivals/<uuid:key>/", arrivals.arrival, name="arrival"),
    path("arrivals/<uuid:key>/progress/", arrivals.progress, name="arrival_progress"),
    path("arrivals/<uuid:key>/again/", arrivals.again, name="arrival_again"),
    path("certificates/", certificates.index, name="certificates"),
    path("certificates/<uuid:key>/", certificates.certificate, name="certificate"),
    path("certificates/<uuid:key>/remove/", certificates.remove, name="certificate_remove"),
    path("sources/", sources.index, name="sources"),
    path("sources/new/", sources.add, name="source_new"),
    path("sources/<uuid:key>/", sources.source, name="source"),
    path("sources/<uuid:key>/entries/", sources.entries, name="source_entries"),
    path("sources/<uuid:key>/<str:verb>/", sources.act, name="act_on_source"),
]
