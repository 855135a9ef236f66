"""The steps of a recipe, each a text that the guest runs."""

import re
import shlex
from dataclasses import dataclass

from vms.building import excludes
from vms.building.installers import INSTALLERS
from vms.building.recipe import Recipe

LONGEST_NAME = 100
#: A line that fails ends the step.
STRICT = ("/bin/sh", "-e")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """``runner`` reads the text; without one the text is a program by itself."""

    name: str
    text: str
    runner: tuple[str, ...] = STRICT
    arguments: tuple[str, ...] = ()


def steps(recipe: Recipe) -> list[Step]:
    """All of them, in their order; the last one cleans up."""
    found = []
    if recipe.prerecipe.strip():
        found.append(_shell("Prerecipe", recipe.prerecipe))
    found += _packages(recipe)
    if recipe.recipe.strip():
        found.append(_shell("Recipe", recipe.recipe))
    found += [
        Step(
            name=f"Script {script.name}"[:LONGEST_NAME],
            text=script.text,
            runner=() if script.text.startswith("#!") else ("/bin/sh",),
            arguments=script.arguments,
        )
        for script in recipe.scripts
    ]
    return [*found, _clean_up(recipe)]


def _shell(name: str, text: str) -> Step:
    return Step(name=name, text=text, runner=() if text.startswith("#!") else STRICT)


def _packages(recipe: Recipe) -> list[Step]:
    installer = INSTALLERS.get(recipe.installer)
    if installer is None or not (recipe.packages or recipe.repositories):
        return []
    found = []
    if recipe.repositories:
        found.append(Step(name="Repositories", text=installer.add(recipe.repositories)))
    found.append(Step(name="Package index", text=installer.index))
    if recipe.packages:
        words = " ".join(shlex.quote(name) for name in recipe.packages)
        install = f"{installer.install} {words}\n{installer.tidy}"
        found.append(Step(name="Packages", text=install))
    return found


#: The whole text is read before its first line is run: it removes itself, too.
_CLEAN_UP = """drop() {
	for path; do
		[ -e "$path" ] || [ -L "$path" ] || continue
		rm -rf -- "$path" || true
		if [ -e "$path" ] || [ -L "$path" ]; then
			# A file system that is mounted there cannot go; what is in it can.
			[ -d "$path" ] && [ -z "$(ls -A "$path" 2>/dev/null)" ] && continue
			echo "$path cannot be removed"
			exit 1
		fi
		echo "removed $path"
	done
}
main() {
@DROPS@	rm -rf "$1"
	sync
	# Else their bytes would stay on the disk, and in the image.
	fstrim / || echo "The free space of the disk could not be trimmed."
	sync
	exit 0
}
main "$@"
"""


def _clean_up(recipe: Recipe) -> Step:
    drops = "".join(
        f"\tdrop {' '.join(excludes.words(path))}\n" for path in recipe.excludes if path
    )
    return Step(name="Clean up", text=_CLEAN_UP.replace("@DROPS@", drops))


def file_name(number: int, step: Step) -> str:
    """What its file is called in the guest."""
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", step.name).strip("-")[:60]
    return f"{number:02}-{word}"
