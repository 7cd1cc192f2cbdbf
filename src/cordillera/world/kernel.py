"""How the kernels of traffic are compiled: a scalar function in plain Python in, machine code out.

They allocate nothing and only read and write the arrays that they are given. So reference counting is left out, which
would take more time than the work: each call would count every array of every tuple up and down, atomically. Division
follows IEEE 754 and raises nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from cordillera.kernels import compiled, inside

_F = TypeVar("_F", bound=Callable[..., Any])
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False}


def kernel(function: _F) -> _F:
    """A function -> the same, compiled, to be called from Python and from kernels."""
    return compiled(function, **_OPTIONS)


def inner(function: _F) -> _F:
    """A function -> the same, compiled, to be called from kernels alone."""
    return inside(function, **_OPTIONS)


def inlined(function: _F) -> _F:
    """A function that is called in one place -> the same, compiled into its caller, which saves handing over tuples."""
    return compiled(function, **_OPTIONS, inline="always")
