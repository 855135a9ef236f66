"""The one exception an action raises to say no."""


class Refused(Exception):
    """The request makes sense but is not allowed, here, now.

    ``str(refused)`` is a full sentence for the person who asked. ``code`` is a stable
    snake_case word for the API and for tests; it never changes once released. ``field``
    names the form field that the sentence belongs to, if one does.
    """

    def __init__(self, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
