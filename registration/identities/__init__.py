"""Who else vouches for people: OpenID Connect providers, and a directory (LDAP)."""
