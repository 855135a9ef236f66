"""Builders of the images that a new portal starts with, from Debian packages only."""

from cloud.images.built import BuiltImage, ImageBuildError

__all__ = ["BuiltImage", "ImageBuildError"]
