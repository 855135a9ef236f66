"""How sizes are said to people: on pages, in refusals, in mails and in the audit."""

_UNITS = (("GiB", 1 << 30, 2), ("MiB", 1 << 20, 1), ("KiB", 1 << 10, 1))


def in_words(size_bytes: int) -> str:
    """12 GiB, 1.25 GiB; what is smaller than one in MiB, KiB or bytes."""
    for unit, step, decimals in _UNITS:
        if size_bytes >= step:
            return f"{number(size_bytes / step, decimals)} {unit}"
    return f"{size_bytes} bytes" if size_bytes else "0 GiB"


def in_gib(size_bytes: int) -> str:
    """GiB with up to two decimals and without the unit: 1, 0.29, 1023.5."""
    return number(size_bytes / (1 << 30), 2)


def number(value: float, decimals: int) -> str:
    """Rounded; no zero behind the point that says nothing."""
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".")
