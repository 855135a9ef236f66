"""FETCHING: bring a metadata document from an address that a person gave."""

from collections.abc import Mapping

from core.machine import Step
from marketplace.models import DocumentArrival

STEPS: Mapping[str, Step[DocumentArrival]] = {}
