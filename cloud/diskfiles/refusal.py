"""What is said of a file that may not come in."""

from cloud.errors import CloudRefused


class FileRefused(CloudRefused):
    """The file breaks a rule. ``str(error)`` is for whoever sent it; ``rule`` is for programs.

    ``rule`` is a stable snake_case word, one for each rule.
    """

    def __init__(self, rule: str, message: str, *, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.rule = rule
