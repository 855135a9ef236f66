"""What a person fills in."""

from vms.forms.launching import LaunchForm
from vms.forms.lists import BulkForm, PeriodForm
from vms.forms.sizes import InstanceTypeForm, OwnTypeForm

__all__ = ["BulkForm", "InstanceTypeForm", "LaunchForm", "OwnTypeForm", "PeriodForm"]
