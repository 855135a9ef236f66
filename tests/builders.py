"""Images that are created by steps on a running portal, asked for by its pages."""

import re
import uuid
from base64 import b64encode
from typing import Any

from conftest import wait_for
from tests.people import Person, told
from tests.running import RunningPortal
from tests.seeds import dashed

#: What a page says of a state that nothing follows.
ENDED = ("done", "kept", "failed", "cancelled")


class Builder:
    """Somebody's builds."""

    def __init__(self, portal: RunningPortal, person: Person) -> None:
        self.portal, self.person = portal, person

    def order(self, *scripts: str, image: str = "", **answers: Any) -> str:
        """The order page's own defaults with ``scripts``, each a text; the UUID of the build."""
        fields = {
            "create_key": str(uuid.uuid4()), "title": "Mine", "comment": "As the test has it.",
            "author": "Mallory", "email": self.person.email, "version": "1.1",
            "type_name": "t1.micro", "excludes": "/tmp/*", "start_minutes": "10",  # noqa: S108
            "step_minutes": "10", "scripts": str(len(scripts)), **answers,
        }  # fmt: skip
        for number, text in enumerate(scripts):
            fields |= {f"script-{number}-text": text, f"script-{number}-name": f"s{number + 1}"}
        page = f"/vms/builds/new/?image={image or self.person.image()}"
        answer = self.person.post(page, fields)
        assert answer.status_code == 302, told(answer)
        return str(answer.headers["location"]).strip("/").rpartition("/")[2]

    def row(self, build: str) -> tuple[str, str]:
        """State and reason."""
        sql = "SELECT state, reason FROM vms_build WHERE uuid = ?"
        (row,) = self.portal.rows(sql, build.replace("-", ""))
        return row

    def steps(self, build: str) -> list[tuple[str, str, Any, str]]:
        """Name, state, exit status and last lines of each step."""
        return self.portal.rows(
            "SELECT s.name, s.state, s.status, s.tail FROM vms_buildstep s JOIN vms_build b "
            "ON b.id = s.build_id WHERE b.uuid = ? ORDER BY s.number",
            build.replace("-", ""),
        )

    def machine(self, build: str) -> tuple[str, str]:
        """UUID and state of its machine."""
        sql = "SELECT v.uuid, v.state FROM vms_vm v JOIN vms_build b ON b.vm_id = v.id"
        (row,) = self.portal.rows(f"{sql} WHERE b.uuid = ?", build.replace("-", ""))
        return dashed(row[0]), row[1]

    def saving(self, build: str) -> str:
        """How far its image is."""
        sql = "SELECT s.state FROM vms_saving s JOIN vms_build b ON b.vm_id = s.vm_id"
        ((state,),) = self.portal.rows(f"{sql} WHERE b.uuid = ?", build.replace("-", ""))
        return str(state)

    def log(self, build: str) -> str:
        return self.person.get(f"/vms/builds/{build}/log/").text

    def reaches(self, build: str, *states: str, within_s: float) -> None:
        try:
            wait_for(lambda: self.row(build)[0] in states, within_s=within_s, every_s=0.2)
        except BaseException:
            print(self.row(build), self.steps(build), self.machine(build), self.log(build)[-3000:])
            raise

    def ends(self, build: str, state: str, *, within_s: float) -> str:
        """Wait for its end, which is this one; the reason."""
        self.reaches(build, *ENDED, within_s=within_s)
        found, reason = self.row(build)
        assert found == state, (found, reason, self.steps(build), self.log(build)[-3000:])
        return reason


def upload(person: Person, content: bytes, *, tag: str, file_format: str) -> str:
    """Upload a disk; its UUID. It is not there yet."""
    said = {"filename": f"{tag}.{file_format}", "tag": tag, "format": file_format}
    metadata = ",".join(f"{name} {b64encode(one.encode()).decode()}" for name, one in said.items())
    tus = {"Tus-Resumable": "1.0.0", "X-CSRFToken": person.token(), "Referer": person.url}
    begun = person.http.post(
        "/volumes/uploads/",
        headers=tus | {"Upload-Length": str(len(content)), "Upload-Metadata": metadata},
    )
    assert begun.status_code == 201, begun.text
    where = begun.headers["location"]
    sent = person.http.patch(
        where,
        content=content,
        headers=tus | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
    )
    assert sent.status_code == 204, sent.text
    found = re.search(r"[0-9a-f-]{36}", where)
    assert found, where
    return found[0]
