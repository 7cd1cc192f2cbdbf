"""How kernels are compiled: a scalar function in plain Python in, machine code out, kept on disk.

numba gives every function two entries beside its code, one for Python and one for C. Where the arguments are tuples of
arrays, as here, the entries take longer to compile than the functions. So nothing gets the one for C, and what only
other kernels call gets neither.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba.core.registry import CPUDispatcher

njit: Any = numba.njit  # its stubs know fewer options than it has
_F = TypeVar("_F", bound=Callable[..., Any])


class Inner(CPUDispatcher):
    """A compiled function without an entry from Python: a call from there would end the process, so it raises."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        raise TypeError(f"{self.py_func.__qualname__} is called by kernels alone; declare it a kernel to call it here")


def compiled(function: _F, **options: Any) -> _F:
    """A function and numba's options -> the same, compiled, to be called from Python and from kernels."""
    return njit(cache=True, no_cfunc_wrapper=True, **options)(function)


def inside(function: _F, **options: Any) -> _F:
    """A function and numba's options -> the same, compiled, to be called from kernels alone."""
    out = njit(cache=True, no_cfunc_wrapper=True, no_cpython_wrapper=True, **options)(function)
    out.__class__ = Inner
    return out


def kernel(function: _F) -> _F:
    """A function -> the same, compiled, to be called from Python and from kernels."""
    return compiled(function)


def typed(signature: str) -> Callable[[_F], _F]:
    """A signature -> `kernel` for that one alone; without it numba compiles anew for every constant in a call."""

    def decorate(function: _F) -> _F:
        return njit(signature, cache=True, no_cfunc_wrapper=True)(function)

    return decorate


def inner(function: _F) -> _F:
    """A function -> the same, compiled, to be called from kernels alone."""
    return inside(function)
