"""The words that public entries are made of: what a mistyped word may have meant."""

from django.db import models


class Word(models.Model):
    """A word, and in how many public entries it is."""

    word = models.CharField(max_length=30, unique=True)
    length = models.PositiveSmallIntegerField(db_index=True)
    entries = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.word


class Learned(models.Model):
    """How far the words have been taken from the entries. One row."""

    upto = models.PositiveBigIntegerField(default=0)  # the last entry that was read, by its number
    entries = models.PositiveIntegerField(default=0)  # how many were

    def __str__(self) -> str:
        return f"{self.entries} entries, up to {self.upto}"
