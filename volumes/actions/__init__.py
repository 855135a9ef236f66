"""What a person may ask of disks. Nothing here knows that clouds exist."""

__all__: list[str] = []
