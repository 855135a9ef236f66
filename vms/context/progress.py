"""How far a guest is with what it was told, from what its serial line prints.

A guest can print what it likes: what is read here is shown to its owner, and decides nothing.
Sources: cloud-init 22.4.2, cmd/main.py, config/cc_final_message.py, util.logexc; our demo image;
``cloud.seeds.INIT_SH``.
"""

import re
from dataclasses import dataclass

_STAGES = {
    b"init-local": "cloud-init reads its settings",
    b"init": "cloud-init makes users and keys",
    b"modules:config": "cloud-init configures the system",
    b"modules:final": "cloud-init installs packages and runs scripts",
}
_STEP = re.compile(
    rb"Cloud-init v\.[^\r\n]{0,40} running "
    rb"'(?P<stage>init-local|init|modules:config|modules:final)'"
    rb"|portal-context: script (?P<script>[\x21-\x7e]{1,100}) exit (?P<status>\d{1,3})\b"
    rb"|context: (?P<hepix>SCRIPT_EXEC|user data) exit (?P<code>\d{1,3})\b"
)
_DONE = re.compile(rb"portal-context: finished|Cloud-init v\.[^\r\n]{0,80} finished at")
_COMPLAINT = re.compile(
    rb"portal-context: "
    rb"(?P<part>[\x21-\x7e]{1,100}: this image does not understand [\x20-\x7e]{1,120})"
    rb"|[a-z_]{1,40}\.py\[(?:WARNING|ERROR|CRITICAL)\]: (?P<said>[\x20-\x7e]{1,200})"
)
#: What cloud-init says of a script that ended badly; its name and status are in its log alone.
_SCRIPTS_FAILED = re.compile(rb"Failed to run module scripts[-_]([a-z_-]{1,20})")
#: Colours, and the other ways in which a terminal is told what to do.
_CONTROLS = re.compile(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")

#: Which one, cloud-init does not say on the serial line.
SOME_SCRIPT = "A script of the user data"

MOST_STEPS = 60
TAIL_LINES, TAIL_CHARACTERS = 14, 2000


@dataclass(frozen=True, slots=True)
class Progress:
    """``note`` says what went wrong first, "" if nothing did; ``log`` are the lines before it."""

    steps: tuple[str, ...] = ()
    note: str = ""
    log: str = ""
    is_done: bool = False


def read(printed: bytes) -> Progress:
    """What the guest has printed since it was started."""
    steps: list[str] = []
    note, log = "", ""
    for match in _STEP.finditer(printed):
        sentence, failed = _step(match)
        if sentence not in steps and len(steps) < MOST_STEPS:
            steps.append(sentence)
        if failed and not note:
            note, log = failed, tail(printed[: match.start()])
    if not note:
        note, log = _complaint(printed)
    return Progress(tuple(steps), note, log, bool(_DONE.search(printed)))


def _step(match: re.Match[bytes]) -> tuple[str, str]:
    """A step, and what went wrong in it."""
    if stage := match["stage"]:
        return _STAGES[stage], ""
    name = (match["script"] or match["hepix"]).decode("ascii")
    status = int(match["status"] or match["code"])
    if status == 0:
        return f"{name} ended well", ""
    sentence = f"{name} ended with status {status}"
    return sentence, f"{sentence}; the console log says more."


def _complaint(printed: bytes) -> tuple[str, str]:
    found = _COMPLAINT.search(printed)
    if found is None:
        return "", ""
    if part := found["part"]:
        return f"{part.decode('ascii')}.", ""
    said, log = found["said"], tail(printed[: found.start()].rpartition(b"\n")[0])
    if _SCRIPTS_FAILED.match(said):
        return f"{SOME_SCRIPT} failed; the lines below and the console say more.", log
    return f"cloud-init: {said.decode('ascii').strip()}", log


def tail(printed: bytes) -> str:
    """The last lines, as plain text."""
    text = _CONTROLS.sub(b"", printed[-4 * TAIL_CHARACTERS :]).decode(errors="replace")
    lines = [
        "".join(char if char.isprintable() or char == "\t" else "" for char in line).rstrip()
        for line in text.replace("\r", "\n").split("\n")
    ]
    kept = [line for line in lines if line][-TAIL_LINES:]
    return "\n".join(kept)[-TAIL_CHARACTERS:]
