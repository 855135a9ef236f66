"""Gates that stand before every door of a person who is signed in.

A gate is asked with the request whose view is known, and answers None to let it pass.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from registration.gates import acting, policies, second_factor

Gate = Callable[[HttpRequest], HttpResponse | None]

#: In the order in which they are asked.
GATES: tuple[Gate, ...] = (acting.gate, policies.gate, second_factor.gate)
