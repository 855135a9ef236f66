"""The scripts of deploy/ import each other by name, as programs in one folder do."""

import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.append(str(CHECKOUT / "deploy"))


@pytest.fixture
def checkout() -> Path:
    return CHECKOUT
