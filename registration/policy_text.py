"""The policies that the portal ships with, in Markdown; a site publishes its own."""

TEXT = """\
## What you can expect

This cloud is run on a best-effort basis. It may be slow, full, or down, and machines can be
lost with everything on them. There is no guarantee of any kind, and no liability for what is
lost. Keep copies of what you cannot make again.

Planned interruptions are announced when possible. The administrators may stop a machine that
endangers the service or others, and tell its owner.

## Acceptable use

1. Use your account for the work you described when you registered, and for nothing that is
   unlawful where you are or where this cloud is.
2. Do not break into, disturb, scan, or overload any computer or network, and do not try to get
   around the limits of this service.
3. Do not use it to mine currency, to send bulk mail, or to distribute what you have no right
   to distribute.
4. Respect licences and the rights of others in software and in data.
5. Your account is yours alone. Keep passwords and private keys secret; never give either to
   anyone.
6. Keep your e-mail address current, so that you can be told when something is wrong.

## Security of your machines

You are the administrator of your machines and answer for what they do. Install security
updates, let in by key and not by password, and leave no service open that you do not need.

Report at once to the administrators if a machine, a password, or a key may be in wrong hands.
You may be asked to shut the machine down, and it may be shut down for you.

## What is kept about you

Your name, e-mail address, user name, certificate name if you gave one, public keys, and your
message to the administrators; when you signed in and from which address; and a history of what
you did with accounts, machines, and images. Administrators see it. It serves to run this cloud,
to account for its use, and to look into incidents, and is given to nobody else unless the law
demands it.

What is inside your machines is yours; administrators do not look into it except to stop harm.

## When this is not kept

An account that breaks these rules can be closed, and its machines stopped, without notice if
there is danger. Questions go to the administrators of this site.
"""
