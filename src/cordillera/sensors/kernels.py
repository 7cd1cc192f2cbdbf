"""Scalar functions in plain Python -> compiled ones, with the settings that the renderer's kernels share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from numba import njit

# The kernels own no memory: all arrays come from the caller. Without numba's reference counting the innermost loops
# are a fifth faster; a kernel that allocates fails to compile, so the setting cannot go wrong in silence.
SETTINGS = {"cache": True, "nogil": True, "_nrt": False}


def kernel(function: Callable[..., Any]) -> Any:
    """A function that is called from Python or from other kernels."""
    return cast("Any", njit)(**SETTINGS)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """A function whose body goes into the kernels that call it."""
    return cast("Any", njit)(**SETTINGS, forceinline=True)(function)


def allocating(function: Callable[..., Any]) -> Any:
    """A function that makes arrays of its own, so it keeps the reference counting."""
    return cast("Any", njit)(cache=True, nogil=True)(function)
