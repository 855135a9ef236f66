"""The assembly: settings, URLs, ASGI, Celery, and pages that belong to no app."""
