"""The steps of deliveries to webhooks, and what becomes of old notifications."""

from registration.lifecycle.delivering import DELIVERY_STEPS
from registration.lifecycle.forgetting import forget_notifications

__all__ = ["DELIVERY_STEPS", "forget_notifications"]
