"""bfloat16 in compiled kernels: the upper half of a float32, kept as uint16, read and written 16 numbers at a time."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

LANES = 16
_HALF, _WORD, _NUMBER = (ir.VectorType(t, LANES) for t in (ir.IntType(16), ir.IntType(32), ir.FloatType()))


def _all(value: int) -> ir.Constant:
    return ir.Constant(_WORD, [value] * LANES)


def load_wide(builder: Any, pointer: Any) -> Any:
    """A vector of float32 from the 16 halves at a pointer."""
    halves = builder.load(builder.bitcast(pointer, _HALF.as_pointer()), align=2)
    return builder.bitcast(builder.shl(builder.zext(halves, _WORD), _all(16)), _NUMBER)


def store_narrow(builder: Any, numbers: Any, pointer: Any) -> None:
    """A vector of float32 as 16 halves at a pointer, to the nearest, ties to even.

    What is not a number stays so, but for payloads that no arithmetic gives.
    """
    bits = builder.bitcast(numbers, _WORD)
    odd = builder.and_(builder.lshr(bits, _all(16)), _all(1))
    rounded = builder.lshr(builder.add(bits, builder.add(odd, _all(0x7FFF))), _all(16))
    builder.store(builder.trunc(rounded, _HALF), builder.bitcast(pointer, _HALF.as_pointer()), align=2)


def pointer_to(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Pointer to a value of a contiguous array."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


@intrinsic
def widen(typing: Any, halves: Any, h: Any, numbers: Any, n: Any) -> Any:
    """numbers[n + l] = halves[h + l] for l < 16: uint16 to float32. Places are not checked."""
    signature = types.void(halves, types.int64, numbers, types.int64)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source, target = (pointer_to(context, builder, signature.args[k], values[k], values[k + 1]) for k in (0, 2))
        builder.store(load_wide(builder, source), builder.bitcast(target, _NUMBER.as_pointer()), align=4)
        return context.get_dummy_value()

    return signature, code


@intrinsic
def narrow(typing: Any, numbers: Any, n: Any, halves: Any, h: Any) -> Any:
    """halves[h + l] = numbers[n + l] for l < 16: float32 to uint16, as `store_narrow` does. Places are not checked."""
    signature = types.void(numbers, types.int64, halves, types.int64)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source, target = (pointer_to(context, builder, signature.args[k], values[k], values[k + 1]) for k in (0, 2))
        store_narrow(builder, builder.load(builder.bitcast(source, _NUMBER.as_pointer()), align=4), target)
        return context.get_dummy_value()

    return signature, code
