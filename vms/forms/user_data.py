"""What a guest is to do at its first boot: read as cloud-init will read it."""

import gzip

import yaml
from django import forms

#: StratusLab's limit on user data, after gzip.
LARGEST_USER_DATA_BYTES = 16_384
#: And ours before it: what is parsed must be small, however well it compresses.
LARGEST_PLAIN_BYTES = 65_536
#: libyaml where it is there; both refuse the same texts.
_YamlLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_user_data(text: str) -> None:
    plain = len(text.encode())
    if plain > LARGEST_PLAIN_BYTES:
        raise forms.ValidationError(
            f"User data has {plain} bytes; the limit is {LARGEST_PLAIN_BYTES}. Copy the large "
            f"parts to the machine once it runs."
        )
    size = len(gzip.compress(text.encode(), mtime=0))
    if size > LARGEST_USER_DATA_BYTES:
        raise forms.ValidationError(
            f"User data has {size} bytes after gzip; the limit is {LARGEST_USER_DATA_BYTES}. "
            f"Copy the large parts to the machine once it runs."
        )
    if text.startswith("#cloud-config"):
        try:
            parsed = yaml.load(text, _YamlLoader)  # noqa: S506  (both loaders are safe ones)
        except (yaml.YAMLError, ValueError, RecursionError) as exc:
            mark = getattr(exc, "problem_mark", None)
            where = f" in line {mark.line + 1}" if mark else ""
            raise forms.ValidationError(f"This is no valid YAML{where}.") from None
        if parsed is not None and not isinstance(parsed, dict):
            raise forms.ValidationError("A #cloud-config is a mapping: key: value.")
    elif not text.startswith(("#!", "Content-Type:", "MIME-Version:")):
        raise forms.ValidationError(
            "Start with #! (a script), #cloud-config, or a MIME multipart header."
        )
