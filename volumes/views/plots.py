"""What a disk's plot draws, as JSON."""

import uuid

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from volumes import plots
from volumes.views.door import UserRequest, find


@login_required
@require_safe
def usage(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    return JsonResponse(plots.series(find(request, key), request.user))
