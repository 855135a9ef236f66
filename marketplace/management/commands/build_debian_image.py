from cloud.images import debian
from marketplace.management.commands._building import BuildCommand
from marketplace.official import Recipe


class Command(BuildCommand):
    help = "Build a full Debian 12 with cloud-init and list it in the catalogue."
    recipe = Recipe(tag="debian-12", version=debian.VERSION, build=debian.build, min_memory_mib=512)
