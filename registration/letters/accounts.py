"""Letters about accounts, their addresses, and how one signs in to them."""

from registration.letters.kind import LINK, REASON, SIGN_IN, THE_REASON, WHAT, Kind
from registration.letters.placeholders import EMAIL, PERSON, Placeholder, link

ACCOUNTS: tuple[Kind, ...] = (
    Kind(
        "suspended",
        "Account suspended",
        "To the person, with the reason.",
        (*PERSON, THE_REASON),
        "Your account is suspended",
        """\
Dear {name},

your account {username} is suspended: you cannot sign in, and your API tokens do not work. The \
administrator wrote:

{reason}

What you hold stays yours meanwhile, unless the administrator says otherwise.""",
        REASON,
    ),
    Kind(
        "resumed",
        "Account active again",
        "To the person, when a suspension has ended.",
        (*PERSON, SIGN_IN),
        "Your account is active again",
        """\
Dear {name},

your account {username} is active again. Sign in here:

{link}

Your API tokens work as before.""",
    ),
    Kind(
        "closed",
        "Account closed",
        "To the person, with the reason.",
        (*PERSON, THE_REASON),
        "Your account is closed",
        """\
Dear {name},

your account {username} is closed for good. The administrator wrote:

{reason}

Your e-mail address is free: you may register again, under another user name.""",
        REASON,
    ),
    Kind(
        "email_confirm",
        "Confirm a new address",
        "To the new address that a person wants. Until it is confirmed, the old one counts.",
        (
            *PERSON,
            link(
                "confirms the address; works once, for a day",
                "/profile/email/…/",
                "Confirm this address",
            ),
        ),
        "Confirm your new address",
        """\
Dear {name},

confirm within a day that mails to your account {username} shall go to this address from now on:

{link}

The link works once. If you have no such account, do nothing.""",
        LINK,
    ),
    Kind(
        "email_change_asked",
        "Another address is wanted",
        "To the address that counts, when another one is wanted for the account.",
        (
            *PERSON,
            EMAIL,
            link(
                "where one cancels it; works without signing in",
                "/profile/email/…/stay/",
                "Stay with this address",
            ),
            link("where one gets a new password", "/reset/", "Get a new password", "reset_link"),
        ),
        "Another address for your account",
        """\
Dear {name},

somebody, you we hope, asked that mails to your account {username} go to {email} from now on. \
They come here until that address is confirmed.

If this was not you, somebody knows your password. Get a new one at once, which also cancels the \
other address:

{reset_link}

To stay with the address as it is, open this link and press the button; it works for a day:

{link}""",
        frozenset({"email"}),
    ),
    Kind(
        "email_changed",
        "Address changed",
        "To the old and to the new address.",
        (*PERSON, EMAIL, Placeholder("was", "the address before", "jane@old.example.org")),
        "Your e-mail address has changed",
        """\
Dear {name},

the e-mail address of your account {username} has changed from {was} to {email}.

If this was not you, tell an administrator at once.""",
        frozenset({"email"}),
    ),
)

PROOF: tuple[Kind, ...] = (
    Kind(
        "reset",
        "New password",
        "To the person, when somebody asks for a new password for their account.",
        (
            *PERSON,
            Placeholder("hours", "how long the link works, in hours", "24"),
            link("where one chooses a password; works once", "/reset/…/", "Choose a password"),
        ),
        "A new password",
        """\
Dear {name},

somebody, you we hope, asked for a new password for the account {username}. Choose one here, \
within {hours} hours:

{link}

The link works once. If you did not ask for it, ignore this mail, or open the link and press \
"Cancel the link". Your password stays as it is.""",
        LINK,
    ),
    Kind(
        "password_elsewhere",
        "Password kept elsewhere",
        "To a person who asks for a new password and has none here: a provider or a directory "
        "keeps it.",
        (
            *PERSON,
            SIGN_IN,
            Placeholder(
                "where",
                "a sentence that says where it is kept",
                "Your password is kept by Example Lab; change it there.",
            ),
        ),
        "Your password",
        """\
Dear {name},

somebody, you we hope, asked for a new password for the account {username}.

{where}

Then sign in here:

{link}

If you did not ask for it, ignore this mail.""",
        frozenset({"where"}),
    ),
    Kind(
        "password_changed",
        "Password changed",
        "To the person.",
        (*PERSON, link("where one gets a new password", "/reset/", "Get a new password")),
        "Your password has changed",
        """\
Dear {name},

the password of your account {username} has changed, and every other session was ended. API \
tokens still work: revoke those that somebody may know.

If this was not you, get a new password at once, and tell an administrator:

{link}""",
    ),
    Kind(
        "second_factor_changed",
        "Second factor changed",
        "To the person, when an app, a passkey or recovery codes were added or removed.",
        (
            *PERSON,
            Placeholder("what", "a sentence that says what was done", "Added: the passkey Laptop."),
            link("what one signs in with", "/profile/security/", "Look at it"),
        ),
        "Your second factor has changed",
        """\
Dear {name},

the second factor of your account {username} has changed. {what}

If this was not you, change your password, look at what you sign in with, and tell an \
administrator at once:

{link}""",
        WHAT,
    ),
    Kind(
        "identities_changed",
        "Way to sign in changed",
        "To the person, when an account elsewhere was connected or disconnected.",
        (
            *PERSON,
            Placeholder(
                "what",
                "a sentence that says what was done",
                "From now on, ORCID lets you into jane.",
            ),
            link("the ways to sign in", "/profile/identities/", "Look at them"),
        ),
        "A way to sign in has changed",
        """\
Dear {name},

{what}

If this was not you, sign in, look at the ways to sign in to your account, and change your \
password:

{link}""",
        WHAT,
    ),
)
