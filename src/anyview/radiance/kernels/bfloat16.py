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


def _places(context: Any, builder: Any, signature: Any, values: Any) -> tuple[Any, Any]:
    """Pointers to the vectors at both arrays' places."""
    found = []
    for n in (0, 2):
        data = context.make_array(signature.args[n])(context, builder, values[n]).data
        vector = _HALF if signature.args[n].dtype == types.uint16 else _NUMBER
        found.append(builder.bitcast(builder.gep(data, [values[n + 1]]), vector.as_pointer()))
    return found[0], found[1]


@intrinsic
def widen(typing: Any, halves: Any, h: Any, numbers: Any, n: Any) -> Any:
    """numbers[n + l] = halves[h + l] for l < 16: uint16 to float32. Places are not checked."""
    signature = types.void(halves, types.int64, numbers, types.int64)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source, target = _places(context, builder, signature, values)
        bits = builder.shl(builder.zext(builder.load(source, align=2), _WORD), _all(16))
        builder.store(builder.bitcast(bits, _NUMBER), target, align=4)
        return context.get_dummy_value()

    return signature, code


@intrinsic
def narrow(typing: Any, numbers: Any, n: Any, halves: Any, h: Any) -> Any:
    """halves[h + l] = numbers[n + l] for l < 16: float32 to uint16, to the nearest, ties to even.

    Places are not checked. What is not a number stays so, but for payloads that no arithmetic gives.
    """
    signature = types.void(numbers, types.int64, halves, types.int64)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source, target = _places(context, builder, signature, values)
        bits = builder.bitcast(builder.load(source, align=4), _WORD)
        odd = builder.and_(builder.lshr(bits, _all(16)), _all(1))
        rounded = builder.lshr(builder.add(bits, builder.add(odd, _all(0x7FFF))), _all(16))
        builder.store(builder.trunc(rounded, _HALF), target, align=2)
        return context.get_dummy_value()

    return signature, code
