"""Matrix products inside compiled kernels, at the speed of the processor's vector units.

Letters: R rows, L lanes. A tile is R x L sums that stay in vector registers while the loop over k runs; numba alone
would not keep them there, so the tile's few instructions are given to LLVM one by one. All arrays are flat float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from anyview.jit import njit

_WIDE = bool(llvm.get_host_cpu_features().get("avx512f"))
ROWS, LANES = (8, 32) if _WIDE else (6, 16)
"""The tile that fills this processor's vector registers without spilling."""


def make_tile(rows: int, lanes: int) -> Callable[..., None]:
    """A function for compiled code: y[rows, lanes] (+)= sum over k of x[rows, k] w[k, lanes].

    It is called `tile(a, a0, ar, ak, b, b0, bk, c, c0, cr, count, accumulate)`: x[r, k] is `a[a0 + r ar + k ak]`,
    w[k, l] is `b[b0 + k bk + l]`, y[r, l] is `c[c0 + r cr + l]`, k runs to `count`. Without `accumulate`, y is
    overwritten. Nothing is checked: offsets beyond an array read and write foreign memory.
    """
    vector = ir.VectorType(ir.FloatType(), lanes)
    splat = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    undefined, zero = ir.Constant(vector, ir.Undefined), ir.Constant(vector, [0.0] * lanes)

    @intrinsic
    def tile(typing: Any, a: Any, a0: Any, ar: Any, ak: Any, b: Any, b0: Any, bk: Any, c: Any, c0: Any, cr: Any,
             count: Any, accumulate: Any) -> Any:  # fmt: skip
        i = types.int64
        signature = types.void(a, i, i, i, b, i, i, c, i, i, i, types.boolean)

        def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            x, w, y = (context.make_array(signature.args[n])(context, builder, values[n]).data for n in (0, 4, 7))
            _, a0, ar, ak, _, b0, bk, _, c0, cr, count, accumulate = values

            def place(start: Any, step: Any, index: Any) -> Any:
                index = ir.Constant(step.type, index) if isinstance(index, int) else index
                return builder.add(start, builder.mul(step, index))

            def lanes_at(data: Any, offset: Any) -> Any:
                return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())

            sums = [cgutils.alloca_once(builder, vector) for _ in range(rows)]  # LLVM turns them into registers
            outputs = [lanes_at(y, place(c0, cr, r)) for r in range(rows)]
            with builder.if_else(accumulate) as (then, otherwise):
                with then:
                    for there, sum_ in zip(outputs, sums, strict=True):
                        builder.store(builder.load(there, align=4), sum_)
                with otherwise:
                    for sum_ in sums:
                        builder.store(zero, sum_)
            with cgutils.for_range(builder, count) as loop:
                weights = builder.load(lanes_at(w, place(b0, bk, loop.index)), align=4)
                first = place(a0, ak, loop.index)
                for r, sum_ in enumerate(sums):
                    one = builder.load(builder.gep(x, [place(first, ar, r)]))
                    one = builder.insert_element(undefined, one, ir.Constant(ir.IntType(32), 0))
                    product = builder.fmul(builder.shuffle_vector(one, undefined, splat), weights, flags=("contract",))
                    builder.store(builder.fadd(builder.load(sum_), product, flags=("contract",)), sum_)
            for there, sum_ in zip(outputs, sums, strict=True):
                builder.store(builder.load(sum_), there, align=4)
            return context.get_dummy_value()

        return signature, code

    return tile


@intrinsic
def turn(typing: Any, a: Any, a0: Any, ar: Any, b: Any, b0: Any, br: Any) -> Any:
    """Transposes 16 x 16 numbers in registers: b[b0 + c br + r] = a[a0 + r ar + c].

    In four rounds, one for each bit of the index: numbers whose row has the bit not and whose column has it change
    places with those across the diagonal.
    """
    i = types.int64
    signature = types.void(a, i, i, b, i, i)
    vector = ir.VectorType(ir.FloatType(), 16)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        x, y = (context.make_array(signature.args[n])(context, builder, values[n]).data for n in (0, 3))
        _, a0, ar, _, b0, br = values

        def row(data: Any, start: Any, step: Any, r: int) -> Any:
            place = builder.add(start, builder.mul(step, ir.Constant(step.type, r)))
            return builder.bitcast(builder.gep(data, [place]), vector.as_pointer())

        def pick(first: Any, second: Any, places: list[int]) -> Any:
            return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(ir.IntType(32), 16), places))

        rows = [builder.load(row(x, a0, ar, r), align=4) for r in range(16)]
        for bit in (1, 2, 4, 8):
            upper = [16 + c - bit if c & bit else c for c in range(16)]
            lower = [16 + c if c & bit else c + bit for c in range(16)]
            for r in range(16):
                if not r & bit:
                    first, second = rows[r], rows[r + bit]
                    rows[r], rows[r + bit] = pick(first, second, upper), pick(first, second, lower)
        for r in range(16):
            builder.store(rows[r], row(y, b0, br, r), align=4)
        return context.get_dummy_value()

    return signature, code


_tile, _row = make_tile(ROWS, LANES), make_tile(1, LANES)
_half_tile, _half_row = make_tile(ROWS, 16), make_tile(1, 16)


@njit(nogil=True, cache=True)
def multiply(a, a0, ar, ak, rows, count, b, b0, bk, columns, c, c0, cr, accumulate):
    """y (+)= x w for matrices inside flat float32 arrays, of any shape; columns in 16s are fastest, and in 32s.

    Args:
        a, a0, ar, ak: x[r, k] is a[a0 + r ar + k ak].
        rows, count, columns: the sizes of r, k and l.
        b, b0, bk: w[k, l] is b[b0 + k bk + l].
        c, c0, cr: y[r, l] is c[c0 + r cr + l].
        accumulate: add to y instead of overwriting it.
    """
    whole = rows - rows % ROWS
    wide = columns - columns % LANES
    even = columns - columns % 16
    for n in range(0, wide, LANES):
        for m in range(0, whole, ROWS):
            _tile(a, a0 + m * ar, ar, ak, b, b0 + n, bk, c, c0 + m * cr + n, cr, count, accumulate)
        for m in range(whole, rows):
            _row(a, a0 + m * ar, ar, ak, b, b0 + n, bk, c, c0 + m * cr + n, cr, count, accumulate)
    for n in range(wide, even, 16):
        for m in range(0, whole, ROWS):
            _half_tile(a, a0 + m * ar, ar, ak, b, b0 + n, bk, c, c0 + m * cr + n, cr, count, accumulate)
        for m in range(whole, rows):
            _half_row(a, a0 + m * ar, ar, ak, b, b0 + n, bk, c, c0 + m * cr + n, cr, count, accumulate)
    for m in range(rows):
        for n in range(even, columns):
            total = c[c0 + m * cr + n] if accumulate else np.float32(0)
            for k in range(count):
                total += a[a0 + m * ar + k * ak] * b[b0 + k * bk + n]
            c[c0 + m * cr + n] = total
