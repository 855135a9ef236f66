"""Who vouches for images: keys that the portal keeps, certificates that the site trusts."""

import uuid

from django.conf import settings
from django.db import models


class SigningKey(models.Model):
    """A key that signs entries, kept by the portal: a user's, or without a user the site's own.

    ``sealed`` is worthless without the site's secret key (``registration.sealing``).
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="signing_keys"
    )
    # "site" or "user:<id>" as long as it signs; then NULL. So each has one key at a time.
    slot = models.CharField(max_length=40, unique=True, null=True, blank=True)
    email = models.EmailField(max_length=254)
    certificate = models.TextField()  # PEM
    sealed = models.TextField(editable=False)  # the private key, PEM, sealed
    subject = models.CharField(max_length=500)  # RFC 2253
    fingerprint = models.CharField(max_length=64)  # SHA-256, hex
    created_at = models.DateTimeField(auto_now_add=True)
    not_after = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)  # it signs nothing any more

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.subject


class TrustedCertificate(models.Model):
    """A certificate, or the authority behind many, that the site's administrators trust.

    ``skips_mail``: a document that it signed is published without a confirmation by mail.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    certificate = models.TextField()  # PEM
    subject = models.CharField(max_length=500)  # RFC 2253
    fingerprint = models.CharField(max_length=64, unique=True)
    not_after = models.DateTimeField()
    is_authority = models.BooleanField(default=False)  # what it has signed is trusted too
    skips_mail = models.BooleanField(default=False)
    note = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["subject", "pk"]

    def __str__(self) -> str:
        return self.subject
