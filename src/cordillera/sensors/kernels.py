"""Scalar functions in plain Python -> compiled ones, with the settings that the renderer's kernels share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cordillera.kernels import compiled, inside, njit

# The kernels own no memory: all arrays come from the caller. Without numba's reference counting the innermost loops
# are a fifth faster; a kernel that allocates fails to compile, so the setting cannot go wrong in silence.
# Division as the processor does it: a test for zero before each, as in Python, costs more than the division.
DIVISION = "numpy"
SETTINGS = {"nogil": True, "error_model": DIVISION, "_nrt": False}


def kernel(function: Callable[..., Any]) -> Any:
    """A function that is called from Python or from other kernels."""
    return compiled(function, **SETTINGS)


def inlined(function: Callable[..., Any]) -> Any:
    """A function whose body goes into the kernels that call it; there is no calling it from Python."""
    return inside(function, **SETTINGS, forceinline=True)


def allocating(function: Callable[..., Any]) -> Any:
    """A function that makes arrays of its own, so it keeps the reference counting."""
    return compiled(function, nogil=True, error_model=DIVISION)


def inner(function: Callable[..., Any]) -> Any:
    """A function that only other kernels call, compiled by itself: what several of them share is compiled once."""
    return inside(function, **SETTINGS)


def fixed(signature: str) -> Callable[..., Any]:
    """A signature -> `inner` for that one alone; numba compiles others anew for every constant among the arguments."""

    def decorate(function: Callable[..., Any]) -> Any:
        return njit(signature, cache=True, no_cfunc_wrapper=True, no_cpython_wrapper=True, **SETTINGS)(function)

    return decorate
