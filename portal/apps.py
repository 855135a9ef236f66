from django.apps import AppConfig

from portal.celery import app


class PortalConfig(AppConfig):
    name = "portal"
    # Shared tasks find the application that rings their bells.
    celery = app
