"""Every setting of the portal; what differs between places comes from the environment."""

import ipaddress

from portal import env, paths
from portal.secrets import secret_key
from registration.identities import directory, providers

BASE_DIR = paths.checkout()
VERSION = "0.1.0"

# All state: database, Redis, images, machines, logs, secrets, mails.
PORTAL_HOME = paths.home()
# Where the portal listens.
PORTAL_HOST = env.text("PORTAL_HOST", "127.0.0.1")
PORTAL_PORT = env.number("PORTAL_PORT", 8000)
# The name or address under which users reach the ports of their machines.
PORTAL_PUBLIC_HOST = env.text("PORTAL_PUBLIC_HOST", "127.0.0.1")
# Behind TLS: cookies become Secure and browsers are told to come back by HTTPS only.
PORTAL_HTTPS = env.flag("PORTAL_HTTPS")
# How the site is called in titles and mails.
PORTAL_SITE_NAME = env.text("PORTAL_SITE_NAME", "StratusLab")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


DEBUG = env.flag("PORTAL_DEBUG")
SECRET_KEY = env.secret("PORTAL_SECRET_KEY") or secret_key(PORTAL_HOME)
# The one before: what it sealed and signed stays good while it is named here.
SECRET_KEY_FALLBACKS = [
    key for key in [env.secret("PORTAL_SECRET_KEY_BEFORE")] if key and key != SECRET_KEY
]
# A table of 200 machines has six fields in each row.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_000
ALLOWED_HOSTS = [
    "localhost",
    "127.0.0.1",
    "[::1]",
    PORTAL_PUBLIC_HOST,
    PORTAL_HOST,
    *env.words("PORTAL_ALLOWED_HOSTS"),
]
# Where the portal is reached, for links in mails and for CSRF behind a proxy.
PORTAL_URL = env.text(
    "PORTAL_URL", f"http{'s' if PORTAL_HTTPS else ''}://{PORTAL_PUBLIC_HOST}:{PORTAL_PORT}"
).rstrip("/")
CSRF_TRUSTED_ORIGINS = [PORTAL_URL]

INSTALLED_APPS = [
    "portal",
    "vms",
    "marketplace",
    "volumes",
    "registration",
    "core",
    "crispy_forms",
    "crispy_bootstrap5",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "core.http.RequestIdMiddleware",
    "core.http.PlainTextMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "registration.middleware.CallerMiddleware",
    "registration.middleware.SeenMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "registration.middleware.GateMiddleware",
    "registration.reauthentication.ReauthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "portal.urls"
ASGI_APPLICATION = "portal.asgi.application"
AUTH_USER_MODEL = "registration.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.context.site",
            ],
        },
    },
]
CRISPY_ALLOWED_TEMPLATE_PACKS = "bootstrap5"
CRISPY_TEMPLATE_PACK = "bootstrap5"

# Data ------------------------------------------------------------------------------
DATABASES = {
    "default": env.database(url)
    if (url := env.secret("DATABASE_URL"))
    else env.sqlite(str(PORTAL_HOME / "portal.sqlite3"))
}
# Doorbells (Celery) and live updates. By default a Redis of our own, on a Unix socket.
REDIS_URL = (
    env.secret("REDIS_URL") or f"unix://{paths.socket_path('redis.sock', under=PORTAL_HOME)}"
)

# The clouds this portal drives, by the name that users see and rows remember. A name
# must not change while rows refer to it.
CLOUDS = {
    "local": {
        "DRIVER": "cloud.local.driver.LocalDriver",
        "OPTIONS": {
            "home": PORTAL_HOME / "cloud",
            "public_host": PORTAL_PUBLIC_HOST,
            # Forwarded ports are open where users are: here, or on every interface.
            "bind_address": "127.0.0.1" if _is_loopback(PORTAL_PUBLIC_HOST) else "0.0.0.0",  # noqa: S104
        },
    },
}
DEFAULT_CLOUD = "local"

# How dates are written for who has not chosen: a code of core.dates.STYLES.
PORTAL_DATE_STYLE = env.text("PORTAL_DATE_STYLE", "en-GB")
# How a new machine is told its keys and user data, for who has not chosen: "cloud-init", or
# "opennebula" for images made for OpenNebula and HEPiX.
PORTAL_CONTEXT_METHOD = env.choice("PORTAL_CONTEXT_METHOD", "cloud-init", "opennebula")
# Whom people ask when they cannot sign in: an e-mail address, shown to everybody.
PORTAL_CONTACT = env.text("PORTAL_CONTACT")

# What one person may hold at the same time; administrators can change it per person.
PORTAL_QUOTA_MACHINES = env.number("PORTAL_QUOTA_MACHINES", 4)
PORTAL_QUOTA_VCPUS = env.number("PORTAL_QUOTA_VCPUS", 8)
PORTAL_QUOTA_MEMORY_MIB = env.number("PORTAL_QUOTA_MEMORY_MIB", 16384)
PORTAL_QUOTA_DISK_GIB = env.number("PORTAL_QUOTA_DISK_GIB", 100)  # persistent disks
PORTAL_QUOTA_IMAGES = env.number("PORTAL_QUOTA_IMAGES", 10)

# How long a new machine lasts before it is shut down, in days; its owner can extend it as often as
# they like. 0: machines have no end but one that their owners give them.
PORTAL_LEASE_DAYS = env.number("PORTAL_LEASE_DAYS", 0)
# How long a machine may last in all, however often it is extended, in days. 0: no limit.
PORTAL_LEASE_MOST_DAYS = env.number("PORTAL_LEASE_MOST_DAYS", 0)
# How long a machine that was shut down at the end of its lease keeps its disk, in hours.
PORTAL_LEASE_GRACE_HOURS = env.number("PORTAL_LEASE_GRACE_HOURS", 72)

# Disks -----------------------------------------------------------------------------
# Where files land that become disks, and where downloads are prepared: on the same disk as
# the engine's, if there is a choice. Web processes and workers share both.
PORTAL_ARRIVALS = env.path("PORTAL_ARRIVALS", PORTAL_HOME / "arrivals")
PORTAL_DOWNLOADS = env.path("PORTAL_DOWNLOADS", PORTAL_HOME / "downloads")
# How long a deleted disk can be restored, in days; it counts in its owner's quota until then.
PORTAL_BIN_DAYS = env.number("PORTAL_BIN_DAYS", 7)
# How long an upload waits for its next byte, and a download for who asked for it, in hours.
PORTAL_UPLOAD_HOURS = env.number("PORTAL_UPLOAD_HOURS", 168)
PORTAL_DOWNLOAD_HOURS = env.number("PORTAL_DOWNLOAD_HOURS", 24)
# The largest file that may be uploaded or fetched, in GiB, before it is unpacked.
PORTAL_ARRIVAL_GIB = env.number("PORTAL_ARRIVAL_GIB", 1024)
# Volatile disks of one machine together, in GiB: they are in no quota.
PORTAL_VOLATILE_GIB = env.number("PORTAL_VOLATILE_GIB", 50)
# Private networks of one person, those of clusters among them.
PORTAL_NETWORKS = env.number("PORTAL_NETWORKS", 10)
# Private networks that the portal may fetch from on behalf of a person: "10.1.0.0/16, ...".
PORTAL_FETCH_NETWORKS = env.words("PORTAL_FETCH_NETWORKS")
# Ports, besides 80 and 443, of the servers that it may fetch from: "8080, ...".
PORTAL_FETCH_PORTS = env.numbers("PORTAL_FETCH_PORTS")

# Images ----------------------------------------------------------------------------
# Where files of images land that are fetched: on the same disk as the engine's, if there is a
# choice. Workers share it.
PORTAL_IMAGE_ARRIVALS = env.path("PORTAL_IMAGE_ARRIVALS", PORTAL_HOME / "image-arrivals")
# The largest image that is fetched, in GiB, packed and unpacked.
PORTAL_IMAGE_GIB = env.number("PORTAL_IMAGE_GIB", 100)
# How much room the copies of images may take in each cloud, in GiB; beyond it, those that no
# machine needs go, the least used first. 0: no limit.
PORTAL_IMAGE_CACHE_GIB = env.number("PORTAL_IMAGE_CACHE_GIB", 200)
# How long the first entry of an image is valid that is saved from a machine, in days.
PORTAL_SAVED_IMAGE_DAYS = env.number("PORTAL_SAVED_IMAGE_DAYS", 2, most=1826)
# Whether an administrator is asked before an entry of a person is opened to everybody.
PORTAL_PUBLISH_APPROVAL = env.flag("PORTAL_PUBLISH_APPROVAL", default=False)
# Mail endorsers a list of what they vouch for, every so many days. 0: never.
PORTAL_ENDORSER_DAYS = env.number("PORTAL_ENDORSER_DAYS", 0)
# The largest metadata document that is taken in, in KiB. What reads one reads no more than 1 MiB.
PORTAL_METADATA_KIB = env.number("PORTAL_METADATA_KIB", 1024, most=1024)

# What the sign-in pages count: in the database, so that it outlives every process.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "portal_cache",
        # Beyond this, lines are dropped that are still needed: counts of tries.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

# Tasks -----------------------------------------------------------------------------
CELERY_BROKER_URL = (
    REDIS_URL.replace("unix://", "redis+socket://", 1)
    if REDIS_URL.startswith("unix://")
    else REDIS_URL
)

# Mail: written to files that an administrator reads in the portal, unless SMTP is set.
EMAIL_HOST = env.text("EMAIL_HOST")
EMAIL_PORT = env.number("EMAIL_PORT", 25)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.secret("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS")
EMAIL_USE_SSL = env.flag("EMAIL_USE_SSL")
EMAIL_TIMEOUT = 10
EMAIL_FILE_PATH = PORTAL_HOME / "mails"
EMAIL_BACKEND = (
    "django.core.mail.backends.smtp.EmailBackend"
    if EMAIL_HOST
    else "registration.filebased.EmailBackend"
)
# Without a mail server, mails are kept in files for so many days.
PORTAL_MAIL_DAYS = env.number("PORTAL_MAIL_DAYS", 30)
DEFAULT_FROM_EMAIL = env.text("PORTAL_MAIL_FROM", f"portal@{PORTAL_PUBLIC_HOST}")

# People ----------------------------------------------------------------------------
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PORTAL_HTTPS
SESSION_COOKIE_NAME = "__Host-session" if PORTAL_HTTPS else f"session-{PORTAL_PORT}"
CSRF_COOKIE_NAME = "__Host-csrf" if PORTAL_HTTPS else f"csrf-{PORTAL_PORT}"
CSRF_COOKIE_HTTPONLY = True
PASSWORD_RESET_TIMEOUT = 24 * 3600

# Signing in is django-allauth's; accounts, passwords and their life are ours.
ACCOUNT_ADAPTER = "registration.adapters.AccountAdapter"
MFA_ADAPTER = "registration.adapters.MFAAdapter"
SOCIALACCOUNT_ADAPTER = "registration.identities.adapter.SocialAccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = "username"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_ALLOW_UNVERIFIED_EMAIL = True  # whoever is let in has confirmed an address to us
MFA_TOTP_TOLERANCE = 1  # clocks of telephones go wrong; of 30 s, before and after
# Administrators need a second factor: they are led to set one up before anything else.
PORTAL_ADMIN_SECOND_FACTOR = env.flag("PORTAL_ADMIN_SECOND_FACTOR")
# How long an API token may last, in days; shorten it where leaked tokens would do much harm.
PORTAL_TOKEN_DAYS = env.number("PORTAL_TOKEN_DAYS", 365)
# User names that nobody may register with, besides those of registration.names.
PORTAL_RESERVED_NAMES = env.words("PORTAL_RESERVED_NAMES")
# A mail to the administrators for "each" request (for an account, for quota), or one "daily".
PORTAL_REGISTRATION_MAILS = env.choice("PORTAL_REGISTRATION_MAILS", "each", "daily")

# How long notifications, and the log of what went to webhooks, are kept, in days.
PORTAL_NOTIFICATION_DAYS = env.number("PORTAL_NOTIFICATION_DAYS", 90)

# Who else vouches for people. OpenID Connect providers as JSON, best in a file
# (PORTAL_OIDC_PROVIDERS_FILE): docs/administrators/people.md shows ORCID, EGI and Keycloak.
SOCIALACCOUNT_PROVIDERS = providers.apps(providers.read(env.secret("PORTAL_OIDC_PROVIDERS")))
# A directory whose passwords let people in at the ordinary form; None without a URL.
PORTAL_LDAP = directory.read(
    url=env.text("PORTAL_LDAP_URL"),
    name=env.text("PORTAL_LDAP_NAME", "the directory of your organisation"),
    bind_dn=env.text("PORTAL_LDAP_BIND_DN"),
    bind_password=env.secret("PORTAL_LDAP_BIND_PASSWORD"),
    user_base=env.text("PORTAL_LDAP_USER_BASE"),
    user_filter=env.text("PORTAL_LDAP_USER_FILTER"),
    group=env.text("PORTAL_LDAP_GROUP"),
    start_tls=env.flag("PORTAL_LDAP_START_TLS", default=True),
    ca_file=env.text("PORTAL_LDAP_CA_FILE"),
    attributes=env.words("PORTAL_LDAP_ATTRIBUTES"),
)

# Headers ---------------------------------------------------------------------------
SECURE_HSTS_SECONDS = 31_536_000 if PORTAL_HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PORTAL_HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "worker-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

# Files -----------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "servestatic.storage.CompressedManifestStaticFilesStorage"
    },
}

# Words -----------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

# Logs ------------------------------------------------------------------------------
# Lines for a person at a terminal; JSON where a machine collects them.
PORTAL_LOG_JSON = env.flag("PORTAL_LOG_JSON")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "core.logs.JsonFormatter"},
        "line": {"()": "core.logs.LineFormatter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "json" if PORTAL_LOG_JSON else "line",
        }
    },
    "root": {"handlers": ["console"], "level": env.text("PORTAL_LOG_LEVEL", "INFO")},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "celery": {"level": "WARNING"},
        "qemu": {"level": "ERROR"},
    },
}
