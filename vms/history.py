"""What happened to a machine, in a few words each."""

from collections.abc import Iterable, Mapping

from core.models import Event, Outcome

_VERBS: Mapping[str, str] = {
    "asked": "Asked for",
    "attach_nic": "Put on a private network",
    "back_up": "Backed up",
    "console": "Console opened",
    "detach_nic": "Taken off a private network",
    "extend": "Lease extended",
    "handed_over": "Handed over",
    "kill": "Kill asked for",
    "lease_set": "End set",
    "reboot": "Reboot asked for",
    "save": "Shutdown and saving asked for",
    "shut_down": "Shutdown asked for",
    "start": "Start asked for",
    "taken_over": "Taken over",
}


def told(events: Iterable[Event]) -> list[tuple[Event, str]]:
    """``events`` of one machine in their order, each with its words."""
    return [(event, _words(event)) for event in events]


def _words(event: Event) -> str:
    if event.verb == "moved" or (event.was and event.outcome == Outcome.DONE):
        return f"{event.was} → {event.now}"
    done = _VERBS.get(event.verb, event.verb.replace("_", " ").capitalize())
    return done if event.outcome == Outcome.DONE else f"{event.get_outcome_display()}: {done}"
