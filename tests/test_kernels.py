"""Compiled functions: who may call them, and that constants do not multiply them."""

import pytest

from cordillera.kernels import inner, kernel, typed


@inner
def double(x: float) -> float:
    return 2.0 * x


@kernel
def quadruple(x: float) -> float:
    return double(double(x))


@typed("float64(float64, int64)")
def raised(x: float, times: int) -> float:
    for _ in range(times):
        x = double(x)
    return x


@kernel
def many(x: float) -> float:
    return raised(x, 1) + raised(x, 2) + raised(x, 3)


def test_an_inner_function_works_in_kernels_and_says_so_where_it_is_called_from_python():
    assert quadruple(1.5) == 6.0
    with pytest.raises(TypeError, match="double is called by kernels alone"):
        double(1.0)


def test_a_typed_function_is_compiled_once_for_all_constants():
    assert many(1.0) == 14.0
    assert len(raised.signatures) == 1
