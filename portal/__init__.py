"""The assembly: settings, URLs, ASGI, Celery, and pages that belong to no app."""

from portal.celery import app as celery_app

__all__ = ["celery_app"]
