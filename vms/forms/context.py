"""What a guest is told at its first boot: the same fields on the launch page and in recipes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.forms.utils import ErrorDict
from django.utils.datastructures import MultiValueDict

from cloud.types import ContextMethod
from core.errors import Refused
from registration import keys
from vms.context import (
    LARGEST_PLAIN_BYTES,
    SCRIPT,
    BadPair,
    Context,
    Part,
    Problem,
    Unreadable,
    check,
    guess_subtype,
    read_pairs,
    tidy,
    write_pairs,
)

METHODS = (
    (ContextMethod.CLOUD_INIT.value, "cloud-init"),
    (ContextMethod.HEPIX.value, "OpenNebula/HEPiX"),
)
#: Fields of one part, each a list in the order of the parts.
PART_FIELDS = ("part_type", "part_name", "part_text")
MOST_KEYS = 50
_ENDINGS = {"cloud-config": "config-{}.yaml", "part-handler": "handler-{}.py"}
_CODE = {"rows": 3, "spellcheck": "false", "autocomplete": "off", "class": "font-monospace"}


if TYPE_CHECKING:
    File = UploadedFile[bytes]
else:
    File = UploadedFile
Files = MultiValueDict[str, Any]


class PartsWidget(forms.Widget):
    """Reads rows of type, name and text, and files; the page draws them itself."""

    needs_multipart_form = True

    def value_from_datadict(
        self, data: Mapping[str, Any], files: Files, name: str
    ) -> list[Part | str]:
        """Parts, and for each file that is none a sentence."""
        found: list[Part | str] = [row for row in rows_of(data) if not is_blank(row)]
        return found + [from_file(file) for file in _list(files, "part_files")]


def rows_of(data: Mapping[str, Any]) -> list[Part]:
    """As they stand on the page, blank ones too."""
    rows = zip(*(_list(data, field) for field in PART_FIELDS), strict=False)
    return [Part(kind.strip().lower(), name.strip(), tidy(text)) for kind, name, text in rows]


def is_blank(part: Part) -> bool:
    return not (part.subtype or part.name or part.text.strip())


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    getlist = getattr(data, "getlist", None)
    return list(getlist(name) if getlist else data.get(name, ()))


def from_file(file: File) -> Part | str:
    name = (file.name or "").rpartition("/")[2]
    try:
        text = text_of(file)
    except Unreadable as error:
        return f"{name}: {error}"
    return Part("", name, text)


def text_of(file: File) -> str:
    """Raises: Unreadable: it is too large, or no text."""
    size = file.size or 0
    if size > LARGEST_PLAIN_BYTES:
        raise Unreadable(f"It has {size} bytes; the limit is {LARGEST_PLAIN_BYTES}.")
    try:
        return tidy(file.read().decode())
    except UnicodeDecodeError:
        raise Unreadable("It is no text in UTF-8.") from None
    finally:
        file.seek(0)


class PartsField(forms.Field):
    widget = PartsWidget

    def clean(self, value: list[Part | str]) -> tuple[Part, ...]:
        if refused := [one for one in value if isinstance(one, str)]:
            raise forms.ValidationError(refused)
        return named([one for one in value if isinstance(one, Part)])


def named(parts: Sequence[Part]) -> tuple[Part, ...]:
    """With the types and names that were left blank, but for parts that are all blank."""
    found: list[Part] = []
    for number, part in enumerate(parts, start=1):
        if is_blank(part):
            found.append(part)
            continue
        subtype = part.subtype or guess_subtype(part.text) or "plain"
        name = part.name or _ENDINGS.get(subtype, "script-{}.sh").format(number)
        found.append(Part(subtype, name, part.text))
    return tuple(found)


class ContextFields(forms.Form):
    """``told()`` is what the valid answers say. Whoever shows it draws ``vms/_context.html``."""

    context_method = forms.ChoiceField(
        label="Method", choices=METHODS, required=False, widget=forms.RadioSelect
    )
    parts = PartsField(label="Parts", required=False)
    user_data = forms.CharField(
        label="Literal user data",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={**_CODE, "rows": 6}),
        help_text="Handed to the guest to the byte, instead of the parts above: a script (#!…), a "
        "#cloud-config, or a MIME multipart text of your own.",
    )
    pairs = forms.CharField(
        label="KEY=value pairs",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={**_CODE, "placeholder": "COLOUR=blue"}),
        help_text="One a line. OpenNebula/HEPiX guests find them in context.sh; with cloud-init "
        "they are in the machine's meta-data, under “context”.",
    )
    script_exec = forms.CharField(
        label="Command to run (SCRIPT_EXEC)",
        required=False,
        max_length=4000,
        widget=forms.TextInput(
            attrs={"class": "font-monospace", "spellcheck": "false", "autocomplete": "off"}
        ),
        help_text="One line of shell text, which OpenNebula/HEPiX guests run as root at their "
        "first boot.",
    )
    anyway = forms.BooleanField(label="Launch it all the same", required=False)

    #: Found by ``clean``; warnings are errors until they were seen and taken.
    problems: list[Problem]
    #: What was filled in, faults and all: Django drops the answers of fields with an error.
    _filled_in: Context | None = None

    def clean_pairs(self) -> tuple[tuple[str, str], ...]:
        try:
            return read_pairs(self.cleaned_data["pairs"])
        except BadPair as error:
            raise forms.ValidationError(str(error)) from None

    def clean_user_data(self) -> str:
        return tidy(self.cleaned_data["user_data"])

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        told = self._filled_in = self.told()
        self.problems = check(told)
        for problem in self.problems:
            if problem.level == "error":
                self.add_error(_field(problem, told), said(problem, told))
            elif problem.level == "warning" and not data.get("anyway"):
                self.add_error("anyway", said(problem, told))
        return data

    def unsent(self) -> None:
        """Show the answers as they are, without judging them."""
        self._errors, self.cleaned_data = ErrorDict(), {}

    @property
    def part_rows(self) -> list[Part]:
        """As they stand on the page, blank ones too."""
        if self.is_bound:
            return rows_of(self.data)
        return list(self.get_initial_for_field(self.fields["parts"], "parts") or ())

    def told(self) -> Context:
        """What the answers say, even where something is wrong with it."""
        if self._filled_in is not None:
            return self._filled_in
        data = self.cleaned_data
        pairs = data.get("pairs", ())
        if line := data.get("script_exec", ""):
            pairs = (*pairs, (SCRIPT, line))
        return Context(
            method=ContextMethod(data.get("context_method") or METHODS[0][0]),
            parts=data.get("parts", ()),
            pairs=pairs,
            literal=data.get("user_data", ""),
        )


def _field(problem: Problem, told: Context) -> str:
    if problem.where == "pairs":
        return "pairs"
    is_of_parts = problem.part or problem.where == "parts"
    return "parts" if is_of_parts or (told.parts and not told.literal) else "user_data"


def said(problem: Problem, context: Context) -> str:
    """With the part's name before it."""
    if not problem.part:
        return problem.sentence
    name = context.parts[problem.part - 1].name
    return f"Part {problem.part}, {name[:60]}: {problem.sentence}"


def initial_of(context: Context) -> dict[str, Any]:
    """The fields of a form that says this."""
    scripts = [value for name, value in context.pairs if name.upper() == SCRIPT]
    rest = [(name, value) for name, value in context.pairs if name.upper() != SCRIPT]
    return {
        "context_method": str(context.method),
        "parts": list(context.parts),
        "user_data": context.literal,
        "pairs": write_pairs(rest),
        "script_exec": scripts[0] if scripts else "",
    }


def default_method(choice: str) -> ContextMethod:
    """What a person has chosen in the profile, or else the site has."""
    word = choice or settings.PORTAL_CONTEXT_METHOD
    return ContextMethod.HEPIX if word == "opennebula" else ContextMethod.CLOUD_INIT


class ExtraKeysField(forms.CharField):
    """Public keys, one a line; blank lines and those of other programs' comments are none."""

    widget = forms.Textarea

    def clean(self, value: Any) -> list[str]:
        text: str = super().clean(value)
        lines = [line.strip() for line in text.splitlines()]
        lines = [line for line in lines if line and not line.startswith("Comment:")]
        if len(lines) > MOST_KEYS:
            raise forms.ValidationError(f"These are {len(lines)} keys; {MOST_KEYS} at most.")
        try:
            return list(dict.fromkeys(keys.read(line).line for line in lines))
        except Refused as refused:
            raise forms.ValidationError(str(refused), code=refused.code) from None
