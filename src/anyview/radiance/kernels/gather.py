"""Weighted sums of pairs of numbers that lie anywhere in a table, sixteen sums at a time.

Compilers do not vectorise such loops by themselves, for they cannot know that results are not written into the table;
so their few instructions are given to LLVM one by one. Each pair is read as one number of 64 bits.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

LANES = 16
CORNERS = 8


@intrinsic
def gather(
    typing: Any, table: Any, index: Any, weight: Any, start: Any, stride: Any, out: Any, a0: Any, b0: Any
) -> Any:
    """out[a0 + l], out[b0 + l] = sum over c < 8 of w table[2 j], w table[2 j + 1] for l < 16.

    j is index[start + c stride + l] (uint32), w is weight[start + c stride + l]; all arrays are flat. Nothing is
    checked: indices beyond an array read and write foreign memory.
    """
    i = types.int64
    signature = types.void(table, index, weight, i, i, out, i, i)
    number, wide = ir.FloatType(), ir.DoubleType()
    vector = ir.VectorType(number, LANES)
    word, long = ir.IntType(32), ir.IntType(64)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        arrays = [context.make_array(signature.args[n])(context, builder, values[n]).data for n in (0, 1, 2, 5)]
        entries, indices, weights, results = arrays
        pairs = builder.bitcast(entries, wide.as_pointer())
        _, _, _, start, stride, _, a0, b0 = values

        def lanes(data: Any, place: Any) -> Any:
            return builder.bitcast(builder.gep(data, [place]), vector.as_pointer())

        sums = [ir.Constant(vector, [0.0] * LANES)] * 2
        for c in range(CORNERS):
            place = builder.add(start, builder.mul(stride, long(c)))
            both = ir.Constant(ir.VectorType(wide, LANES), ir.Undefined)
            for lane in range(LANES):
                entry = builder.load(builder.gep(indices, [builder.add(place, long(lane))]))
                pair = builder.load(builder.gep(pairs, [builder.zext(entry, long)]), align=4)
                both = builder.insert_element(both, pair, word(lane))
            parts = builder.bitcast(both, ir.VectorType(number, 2 * LANES))
            factor = builder.load(lanes(weights, place), align=4)
            for f in range(2):
                every_other = ir.Constant(ir.VectorType(word, LANES), list(range(f, 2 * LANES, 2)))
                one = builder.shuffle_vector(parts, ir.Constant(parts.type, ir.Undefined), every_other)
                sums[f] = builder.fadd(sums[f], builder.fmul(factor, one, flags=("contract",)), flags=("contract",))
        for sum_, place in zip(sums, (a0, b0), strict=True):
            builder.store(sum_, lanes(results, place), align=4)
        return context.get_dummy_value()

    return signature, code
