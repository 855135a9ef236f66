"""Somebody at the portal's doors: cookies, forms and CSRF, without a browser."""

import hashlib
import re
import uuid
from pathlib import Path
from typing import Any

import httpx

from conftest import wait_for
from tests import post

PASSWORD = "quiet-lake-under-snow-44"


class Person:
    """One session of one person. ``get`` and ``post`` take paths and follow no redirects.

    ``home`` is the portal's, where a person finds the mails of a site without a mail server.
    Everybody calls from an address of their own: what counts per address counts few.
    """

    def __init__(self, url: str, username: str, *, home: Path | None = None) -> None:
        self.url = url
        self.username = username
        self.email = f"{username}@example.org"
        self.home = home
        self.http = httpx.Client(
            base_url=url,
            transport=httpx.HTTPTransport(local_address=_address(username)),
            timeout=30,
        )

    def close(self) -> None:
        self.http.close()

    # Doors -----------------------------------------------------------------------------

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.http.get(path, **options)

    def post(self, path: str, data: dict[str, Any] | None = None, **options: Any) -> httpx.Response:
        """Send a form, with the token that this site's pages carry."""
        fields = {"csrfmiddlewaretoken": self.token(), **(data or {})}
        return self.http.post(path, data=fields, **options)

    def token(self) -> str:
        """The CSRF token of this session."""
        name = next((name for name in self.http.cookies if name.startswith("csrf-")), "")
        if not name:
            self.get("/login/")
            name = next(name for name in self.http.cookies if name.startswith("csrf-"))
        return self.http.cookies[name]

    def cookie(self) -> tuple[str, str]:
        """The session cookie's name and value."""
        return next(pair for pair in self.http.cookies.items() if pair[0].startswith("session-"))

    # What people do --------------------------------------------------------------------

    def register(self, *, public_key: str = "") -> str:
        """Ask for an account and confirm the address; the password."""
        answer = self.post(
            "/register/",
            {
                "username": self.username,
                "email": self.email,
                "given_name": self.username.title(),
                "family_name": "Tester",
                "new_password": PASSWORD,
                "again": PASSWORD,
                "public_key": public_key,
                "agreement": "on",
            },
        )
        assert answer.status_code == 302, told(answer)
        answer = self.post(self.link("/register/confirm/"))
        assert answer.status_code == 200, told(answer)
        return PASSWORD

    def link(self, path: str) -> str:
        """Where the latest mail to this person leads that has a link below ``path``."""
        home = self.home
        assert home, "Nobody knows where this person's mails are."
        return str(wait_for(lambda: post.link(home, self.email, path)))

    def approve(self, account: str) -> None:
        """As an administrator, let the account with this UUID in."""
        answer = self.post(f"/registrations/{account}/approve/")
        assert answer.status_code == 302, told(answer)

    def sign_in(self, password: str = PASSWORD) -> None:
        answer = self.post("/login/", {"login": self.username, "password": password})
        assert answer.status_code == 302, told(answer)

    def add_key(self, public_key: str, *, name: str = "", is_default: bool = True) -> None:
        fields = {"public_key": public_key, "name": name}
        if is_default:
            fields["is_default"] = "on"
        answer = self.post("/profile/keys/add/", fields)
        assert answer.status_code == 302, told(answer)

    def image(self) -> str:
        """The identifier of the demo image, whatever else there is by now."""
        page = self.get("/marketplace/?q=demo+linux").text
        found = re.search(r"/vms/launch/\?image=([\w-]+)", page)
        assert found, "The catalogue has no image to launch."
        return found[1]

    def launch(self, **answers: Any) -> str:
        """Order a machine with the launch page's own defaults; its UUID."""
        answer = self.order(**answers)
        assert answer.status_code == 302, told(answer)
        return answer.headers["location"].strip("/").rpartition("/")[2]

    def order(self, **answers: Any) -> httpx.Response:
        """What the launch page says to this order. Without a key unless ``keys`` names one."""
        image = answers.pop("image", "") or self.image()
        fields = {
            "launch_key": str(uuid.uuid4()),
            "name": "machine",
            "type_name": "m1.small",
            "memory_mib": "160",
            "swap_mib": "0",
            **answers,
        }
        if not (answers.get("keys") or answers.get("new_key")):
            fields["without_key"] = "on"
        return self.post(f"/vms/launch/?image={image}", fields)

    def ask(self, vm: str, verb: str) -> httpx.Response:
        """Ask a machine to ``shut_down``, ``reboot``, ``start`` or be ``kill``-ed."""
        return self.post(f"/vms/{vm}/{verb.replace('_', '-')}/")

    def log(self, vm: str) -> str:
        """The end of what a machine's serial line has printed."""
        return self.get(f"/vms/{vm}/console/log/").text


def _address(username: str) -> str:
    """One of this machine's 127.0.0.0/8, always the same for a name."""
    first, second, third = hashlib.sha256(username.encode()).digest()[:3]
    return f"127.{first % 254 + 1}.{second % 254 + 1}.{third % 254 + 1}"


def told(answer: httpx.Response) -> str:
    """What a page complains about, for a failed assertion."""
    faults = re.findall(
        r'class="[^"]*(?:invalid-feedback|alert)[^"]*"[^>]*>(.*?)</', answer.text, re.S
    )
    return f"{answer.status_code} {answer.headers.get('location', '')} {faults}"
