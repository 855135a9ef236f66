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


#: Where guests keep what they were told: the recipe itself is in no image.
_TOLD = (
    "/var/lib/cloud/user-data",
    "/var/lib/cloud/parts/*",
    "/var/lib/cloud/instances/*/user-data*",
    "/var/lib/cloud/instances/*/scripts/*",
    "/var/lib/cloud/instances/*/obj.pkl",
)

#: The whole text is read before its first line is run: it removes itself, too.
#:
#: Of a file that is in use, or that shares a piece of the disk with another, the bytes stay when
#: it is removed: so a small one is written over first, and that has to reach the disk.
_CLEAN_UP = """wipe() {
	for path; do
		[ -L "$path" ] || find "$path" -xdev -type f -links 1 -size -32768 2>/dev/null
	done | head -n 1000 | while IFS= read -r file; do
		blocks=$((($(wc -c <"$file") + 4095) / 4096))
		dd if=/dev/zero of="$file" bs=4096 count="$blocks" conv=notrunc 2>/dev/null || true
	done
}
drop() {
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
@WIPES@	wipe "$1"
	sync
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
    paths = [" ".join(excludes.words(path)) for path in (*recipe.excludes, *_TOLD) if path]
    text = _CLEAN_UP.replace("@WIPES@", "".join(f"\twipe {words}\n" for words in paths))
    text = text.replace("@DROPS@", "".join(f"\tdrop {words}\n" for words in paths))
    return Step(name="Clean up", text=text)


def file_name(number: int, step: Step) -> str:
    """What its file is called in the guest."""
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", step.name).strip("-")[:60]
    return f"{number:02}-{word}"
