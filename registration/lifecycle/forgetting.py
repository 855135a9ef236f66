"""Notifications and deliveries that are older than the site keeps them."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from registration.models import Delivery, Notification
from registration.states import DeliveryState


def forget_notifications() -> None:
    """Let go of what is past its time; a delivery that still waits is not."""
    before = timezone.now() - timedelta(days=settings.PORTAL_NOTIFICATION_DAYS)
    over = Delivery.objects.exclude(state=DeliveryState.WAITING)
    over.filter(created_at__lt=before).delete()
    Notification.objects.filter(created_at__lt=before).delete()
