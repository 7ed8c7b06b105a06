"""What the tests of settings need."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from functools import cache

import pytest


@pytest.fixture(autouse=True, scope="module")
def certificates_read_once() -> Iterator[None]:
    """Every client reads all certificates, which takes 20 ms, and none of these tests opens a connection."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        yield
