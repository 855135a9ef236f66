"""Letters about requests for accounts."""

from registration.letters.kind import LINK, REASON, SIGN_IN, THE_REASON, Kind
from registration.letters.placeholders import (
    EMAIL,
    PERSON,
    USERNAME,
    Placeholder,
    Shape,
    link,
    quote,
)

REQUESTS: tuple[Kind, ...] = (
    Kind(
        "confirm",
        "Confirm the address",
        "To the address of a new request, or of one whose address has changed. Whoever reads it "
        "may never have asked, so nothing of what was typed is in it but the user name.",
        (
            USERNAME,
            link(
                "confirms the address; works once, for a day",
                "/register/confirm/…/",
                "Confirm this address",
            ),
        ),
        "Confirm your e-mail address",
        """\
Somebody, you we hope, asked for an account with the user name {username} and this e-mail \
address. Confirm within a day that the address is yours:

{link}

The link works once. An administrator reads your request as soon as you have confirmed.

If you did not ask for this, do nothing: without the confirmation no account is made.""",
        LINK,
    ),
    Kind(
        "already_registered",
        "The address has an account",
        "To the holder of an account, when somebody asks for another one with the same address. "
        "Whoever asked is not told that there is an account.",
        (
            *PERSON,
            SIGN_IN,
            link("where one gets a new password", "/reset/", "Get a new password", "reset_link"),
        ),
        "You have an account already",
        """\
Dear {name},

somebody asked for an account with this e-mail address. You have one already: its user name is \
{username}. No second one is made.

Was it you? Sign in here:

{link}

or get a new password here:

{reset_link}

If it was not you, do nothing: whoever it was has not been told that you have an account.""",
        frozenset({"username"}),
    ),
    Kind(
        "received",
        "Request received",
        "To the person, when the address is confirmed and an administrator has to decide.",
        (*PERSON, link("where one sees the request", "/register/standing/", "See your request")),
        "Your registration",
        """\
Dear {name},

we have received your request for an account with the user name {username}. An administrator \
must validate it; you will get an e-mail at this address when your account is active, or why it \
is not.

Sign in with your password to see where it is, to correct it, or to withdraw it:

{link}

If you did not ask for this, do nothing, or answer to the administrators.""",
    ),
    Kind(
        "requested",
        "Somebody asks for an account",
        "To every administrator, for each request; with PORTAL_REGISTRATION_MAILS=daily there is "
        "one mail a day instead.",
        (
            *PERSON,
            EMAIL,
            Placeholder(
                "dn",
                "the name in their certificate, if they gave one",
                "CN=Jane Doe,O=Example Lab,C=FR",
            ),
            quote("message", "what they wrote", "I work at Example Lab and want to fit galaxies."),
            link("where one decides", "/registrations/", "Approve or reject"),
        ),
        "Registration of {name} ({username})",
        """\
{name} asks for an account.

User name: {username}
E-mail: {email}
X500 DN: {dn}

Their message:

{message}

Approve or reject the request here, after signing in:

{link}""",
        LINK,
    ),
    Kind(
        "digest",
        "Who waits, once a day",
        "To every administrator, each morning on which somebody waits, with "
        "PORTAL_REGISTRATION_MAILS=daily.",
        (
            Placeholder("summary", "how many wait for what", "2 people wait for an account"),
            Placeholder(
                "waiting",
                "who waits, and since when",
                "Jane Doe (jane), jane.doe@example.org: for 2 days\n"
                "Ali Ben (ali), ali@example.org: for 5 hours",
                Shape.LIST,
            ),
            link("where one decides", "/registrations/", "Approve or reject"),
        ),
        "{summary}",
        """\
{summary}:

{waiting}

Decide here, after signing in:

{link}""",
        frozenset({"waiting"}),
    ),
    Kind(
        "activated",
        "Account active",
        "To the person, when an administrator or a rule has let them in.",
        (*PERSON, SIGN_IN),
        "Your account is active",
        """\
Dear {name},

your account {username} is active. Sign in with the password you chose:

{link}

To enter your machines you need an SSH key; the page "SSH keys" of your profile shows how to \
make one.""",
        LINK,
    ),
    Kind(
        "rejected",
        "Request rejected",
        "To the person, with the reason that the administrator gave.",
        (*PERSON, THE_REASON, SIGN_IN),
        "Your registration was not accepted",
        """\
Dear {name},

your request for the account {username} was not accepted. The administrator wrote:

{reason}

You can apply again: sign in with your user name and password, and choose “Apply again”.

{link}""",
        REASON,
    ),
    Kind(
        "reopened",
        "Decision undone",
        "To the person, when an administrator has undone an approval or a rejection. What an "
        "earlier mail said holds no longer.",
        (*PERSON, link("where one sees the request", "/register/standing/", "See your request")),
        "Your request is being looked at again",
        """\
Dear {name},

your request for the account {username} is being looked at again. What we wrote to you about it \
before, that it was accepted or that it was not, holds no longer.

Until an administrator has decided you cannot use the portal; you will get an e-mail then. Sign \
in with your password to see where your request is, to correct it, or to withdraw it:

{link}""",
    ),
)
