"""Browsers and systems in words, from what a browser says of itself."""

import re

#: In the order in which they are asked: most browsers claim to be several others too.
_BROWSERS = (
    ("Edge", r"\bEdg(?:e|A|iOS)?/(\d+)"),
    ("Opera", r"\bOPR/(\d+)"),
    ("Vivaldi", r"\bVivaldi/(\d+)"),
    ("Samsung Internet", r"\bSamsungBrowser/(\d+)"),
    ("Firefox", r"\b(?:Firefox|FxiOS)/(\d+)"),
    ("Chrome", r"\b(?:Chrome|CriOS|HeadlessChrome)/(\d+)"),
    ("Safari", r"\bVersion/(\d+)[\d.]* (?:Mobile/\w+ )?Safari/"),
)
_SYSTEMS = (
    ("Windows", r"\bWindows NT\b"),
    ("iPhone", r"\biPhone\b"),
    ("iPad", r"\biPad\b"),
    ("Android", r"\bAndroid\b"),
    ("ChromeOS", r"\bCrOS\b"),
    ("macOS", r"\bMac OS X\b"),
    ("Linux", r"\bLinux\b|\bX11\b"),
)
_PROGRAM = re.compile(r"\s*([A-Za-z][\w.+-]{0,30})")


def described(agent: str) -> str:
    """For instance "Firefox 143 on Linux", or the name of a program."""
    browser = next(
        (f"{name} {found[1]}" for name, rule in _BROWSERS if (found := re.search(rule, agent))), ""
    )
    system = next((name for name, rule in _SYSTEMS if re.search(rule, agent)), "")
    if browser:
        return f"{browser} on {system}" if system else browser
    program = _PROGRAM.match(agent)
    if program is None or program[1] == "Mozilla":
        return f"A browser on {system}" if system else "An unknown browser"
    return program[1]
