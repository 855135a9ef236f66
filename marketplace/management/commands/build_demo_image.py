from cloud.images import mini
from marketplace.management.commands._building import BuildCommand
from marketplace.official import Recipe


class Command(BuildCommand):
    help = "Build the small demo Linux from Debian packages and list it in the catalogue."
    recipe = Recipe(tag="demo-linux", version=mini.VERSION, build=mini.build, min_memory_mib=128)
