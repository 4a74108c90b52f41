"""exp, expm1, log, log1p, tanh, sigmoid and erf for use inside kernels, in a form that LLVM can vectorise.

A call into the C library keeps a loop scalar.  The float32 versions here are straight-line code (range
reduction, polynomial, selects instead of branches), so a loop over them runs on whole registers.  They stay
within 2.5 ulp over the full range, denormals, infinities and NaN included.  float64 goes to the C library:
it is there for gradient checks, not for speed.

Nothing in this file is compiled with fast maths: kernels allow reassociation, and that would undo the
two-step range reduction `x - n * hi - n * lo`.  Where a fused multiply-add is wanted it is written out.

Every function works in plain Python too, for runs with `NUMBA_DISABLE_JIT=1`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable

from tinytorch.kernels._jit import JIT

_f32 = np.float32
_ZERO, _HALF, _ONE, _TWO = _f32(0), _f32(0.5), _f32(1), _f32(2)
_INF, _TINY = _f32(np.inf), np.finfo(np.float32).tiny
_LOG2E = _f32(math.log2(math.e))
_LN2_HI = _f32(0.693359375)  # 9 bits, so n * hi is exact
_LN2_LO = _f32(-2.12194440e-4)
_ROUND = _f32(12582912)  # 1.5 * 2**23: a float this large holds an integer in its low bits
_ROUND_BITS = 0x4B400000
_SQRT_HALF_BITS = 0x3F3504F3
_OPTIONS: dict[str, Any] = {"fastmath": False, "forceinline": True, "error_model": "numpy"}
_F, _I = ir.FloatType(), ir.IntType(32)


def _int(value: int) -> ir.Constant:
    return ir.Constant(_I, value)


def _emit_fma(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.fma(*args)


def _emit_copysign(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    magnitude, sign = (builder.bitcast(value, _I) for value in args)
    bits = builder.or_(builder.and_(magnitude, _int(0x7FFFFFFF)), builder.and_(sign, _int(-0x80000000)))
    return builder.bitcast(bits, _F)


def _emit_scale(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """y * 2**n in two halves: n runs from -150 to 128, further than one float's exponent."""
    y, rounded = args
    n = builder.sub(builder.bitcast(rounded, _I), _int(_ROUND_BITS))
    half = builder.ashr(n, _int(1))
    for part in (half, builder.sub(n, half)):
        power = builder.shl(builder.add(part, _int(127)), _int(23))
        y = builder.fmul(y, builder.bitcast(power, _F))
    return y


def _emit_power(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """2**n for n from -126 to 127: the shift drops what _ROUND added."""
    n = builder.shl(builder.bitcast(args[0], _I), _int(23))
    return builder.bitcast(builder.add(n, _int(127 << 23)), _F)


def _emit_exponent(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    above = builder.sub(builder.bitcast(args[0], _I), _int(_SQRT_HALF_BITS))
    return builder.sitofp(builder.ashr(above, _int(23)), _F)


def _emit_mantissa(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    above = builder.sub(builder.bitcast(args[0], _I), _int(_SQRT_HALF_BITS))
    fraction = builder.and_(above, _int(0x007FFFFF))
    return builder.bitcast(builder.add(fraction, _int(_SQRT_HALF_BITS)), _F)


def _float_intrinsic(emit: Callable, arity: int) -> Callable:
    """A function of `arity` float32 numbers whose body is the LLVM code written by `emit`."""
    signature = types.float32(*[types.float32] * arity)
    if arity == 1:
        return intrinsic(lambda typingctx, x: (signature, emit))
    if arity == 2:
        return intrinsic(lambda typingctx, x, y: (signature, emit))
    return intrinsic(lambda typingctx, x, y, z: (signature, emit))


if JIT:
    _fma = _float_intrinsic(_emit_fma, 3)
    _copysign = _float_intrinsic(_emit_copysign, 2)
    _scale = _float_intrinsic(_emit_scale, 2)
    _power = _float_intrinsic(_emit_power, 1)
    _exponent = _float_intrinsic(_emit_exponent, 1)
    _mantissa = _float_intrinsic(_emit_mantissa, 1)
else:
    _copysign = np.copysign

    def _fma(x: Any, y: Any, z: Any) -> Any:
        return _f32(np.float64(x) * np.float64(y) + np.float64(z))

    def _scale(y: Any, rounded: Any) -> Any:
        return np.ldexp(y, int(rounded - _ROUND)) if rounded == rounded else rounded

    def _power(rounded: Any) -> Any:
        return _scale(_ONE, rounded)

    def _exponent(x: Any) -> Any:
        return _f32((int(_f32(x).view(np.int32)) - _SQRT_HALF_BITS) >> 23)

    def _mantissa(x: Any) -> Any:
        above = int(_f32(x).view(np.int32)) - _SQRT_HALF_BITS
        return np.int32((above & 0x7FFFFF) + _SQRT_HALF_BITS).view(np.float32)


def _by_width(narrow: Callable, wide: Callable) -> Callable[[Callable], Callable]:
    """The decorated name means `narrow` for float32 and `wide` for float64, in kernels and outside."""

    def decorate(function: Callable) -> Callable:
        if JIT:

            @overload(function, jit_options=_OPTIONS)
            def choose(x: Any) -> Callable:
                return narrow if x == types.float32 else wide

            return function

        def plain(x: Any) -> Any:
            with np.errstate(all="ignore"):
                return _f32(narrow(x)) if isinstance(x, _f32) else np.float64(wide(np.float64(x)))

        plain.__doc__ = function.__doc__
        return plain

    return decorate


@register_jitable(**_OPTIONS)
def _reduce(x: Any, rounded: Any) -> Any:
    """x - n * ln(2), without losing a digit."""
    n = rounded - _ROUND
    return _fma(n, -_LN2_LO, _fma(n, -_LN2_HI, x))


@register_jitable(**_OPTIONS)
def _expm1_reduced(r: Any) -> Any:
    """e**r - 1 for |r| <= ln(2) / 2 (coefficients: Cephes, expf)."""
    p = _fma(_f32(1.9875691500e-4), r, _f32(1.3981999507e-3))
    p = _fma(p, r, _f32(8.3334519073e-3))
    p = _fma(p, r, _f32(4.1665795894e-2))
    p = _fma(p, r, _f32(1.6666665459e-1))
    p = _fma(p, r, _f32(5.0000001201e-1))
    return _fma(p * r, r, r)


def _exp32(x: Any) -> Any:
    x = _f32(89) if x > _f32(89) else x  # selects written so that NaN stays
    x = _f32(-104) if x < _f32(-104) else x
    rounded = _fma(x, _LOG2E, _ROUND)
    return _scale(_expm1_reduced(_reduce(x, rounded)) + _ONE, rounded)


def _exp64(x: Any) -> Any:
    return np.exp(x)


@_by_width(_exp32, _exp64)
def exp(x: Any) -> Any:
    """e**x."""


def _normal_exp32(x: Any) -> Any:
    x = _f32(87) if x > _f32(87) else x
    x = _f32(-87) if x < _f32(-87) else x
    rounded = _fma(x, _LOG2E, _ROUND)
    power = _power(rounded)
    return _fma(_expm1_reduced(_reduce(x, rounded)), power, power)


def _normal_exp64(x: Any) -> Any:
    x = 700.0 if x > 700.0 else x
    x = -700.0 if x < -700.0 else x
    return np.exp(x)


@_by_width(_normal_exp32, _normal_exp64)
def normal_exp(x: Any) -> Any:
    """e**x for x from -87 to 87 (float64: 700), and its value at the end that is nearer outside of them.

    What comes out is neither infinite nor denormal, which takes a quarter off the time of `exp`, and spares
    what is computed from it the detour that processors make for denormals.
    """


def _expm1_32(x: Any) -> Any:
    x = _f32(89) if x > _f32(89) else x
    x = _f32(-30) if x < _f32(-30) else x
    rounded = _fma(x, _LOG2E, _ROUND)
    power = _power(rounded - _ONE)  # 2**(n - 1), which stays finite where 2**n does not
    return _TWO * _fma(_expm1_reduced(_reduce(x, rounded)), power, power - _HALF)


def _expm1_64(x: Any) -> Any:
    return np.expm1(x)


@_by_width(_expm1_32, _expm1_64)
def expm1(x: Any) -> Any:
    """e**x - 1, accurate near 0."""


def _tanh32(x: Any) -> Any:
    z = -_TWO * abs(x)
    z = _f32(-20) if z < _f32(-20) else z
    rounded = _fma(z, _LOG2E, _ROUND)
    power = _power(rounded)
    q = _fma(_expm1_reduced(_reduce(z, rounded)), power, power - _ONE)
    return _copysign(q / (q + _TWO), x)


def _tanh64(x: Any) -> Any:
    return np.tanh(x)


@_by_width(_tanh32, _tanh64)
def tanh(x: Any) -> Any:
    """(e**x - e**-x) / (e**x + e**-x), from expm1(-2|x|)."""


def _sigmoid32(x: Any) -> Any:
    z = _exp32(-abs(x))
    return (_ONE if x >= _ZERO else z) / (_ONE + z)


def _sigmoid64(x: Any) -> Any:
    z = np.exp(-abs(x))
    return (1.0 if x >= 0.0 else z) / (1.0 + z)


@_by_width(_sigmoid32, _sigmoid64)
def sigmoid(x: Any) -> Any:
    """1 / (1 + e**-x); from e**-|x|, so neither end overflows or loses digits."""


@register_jitable(**_OPTIONS)
def _log_of_parts(f: Any, n: Any) -> Any:
    """log((1 + f) * 2**n) for 1 + f in [sqrt(1/2), sqrt(2)] (coefficients: Cephes, logf)."""
    p = _fma(_f32(7.0376836292e-2), f, _f32(-1.1514610310e-1))
    p = _fma(p, f, _f32(1.1676998740e-1))
    p = _fma(p, f, _f32(-1.2420140846e-1))
    p = _fma(p, f, _f32(1.4249322787e-1))
    p = _fma(p, f, _f32(-1.6668057665e-1))
    p = _fma(p, f, _f32(2.0000714765e-1))
    p = _fma(p, f, _f32(-2.4999993993e-1))
    p = _fma(p, f, _f32(3.3333331174e-1))
    square = f * f
    tail = _fma(p * f, square, _fma(n, _LN2_LO, -_HALF * square))
    return _fma(n, _LN2_HI, f + tail)


@register_jitable(**_OPTIONS)
def _log_ends(x: Any, y: Any) -> Any:
    """y, except where x is not a positive finite number."""
    y = y if x < _INF else x  # infinity and NaN
    y = -_INF if x == _ZERO else y
    return _f32(np.nan) if x < _ZERO else y


def _log32(x: Any) -> Any:
    normal = x if x >= _TINY else x * _f32(8388608)
    n = _exponent(normal) - (_ZERO if x >= _TINY else _f32(23))
    return _log_ends(x, _log_of_parts(_mantissa(normal) - _ONE, n))


def _log64(x: Any) -> Any:
    return np.log(x)


@_by_width(_log32, _log64)
def log(x: Any) -> Any:
    """Natural logarithm; -inf at 0, NaN below."""


def _log1p32(x: Any) -> Any:
    u = _ONE + x
    lost = x - (u - _ONE)  # what rounding 1 + x dropped
    n = _exponent(u)
    shift = n if n < _f32(30) else _f32(30)  # from 2**25 on nothing is lost
    f = _fma(lost, _power(_ROUND - shift), _mantissa(u) - _ONE)
    return _log_ends(u, _log_of_parts(f, n))


def _log1p64(x: Any) -> Any:
    return np.log1p(x)


@_by_width(_log1p32, _log1p64)
def log1p(x: Any) -> Any:
    """log(1 + x), accurate near 0."""


def _erf32(x: Any) -> Any:
    """Two polynomials that meet at 475/512 (coefficients: N. Juffa's erff)."""
    t, s = abs(x), x * x
    far = _fma(_f32(-1.72853470e-5), t, _f32(3.83197126e-4))
    far = _fma(far, s, _fma(_f32(-3.88396438e-3), t, _f32(2.42546219e-2)))
    far = _fma(far, t, _f32(-1.06777877e-1))
    far = _fma(far, t, _f32(-6.34846687e-1))
    far = _fma(far, t, _f32(-1.28717512e-1))
    far = _copysign(_ONE - _exp32(_fma(far, t, -t)), x)
    near = _fma(_f32(-5.96761703e-4), s, _f32(4.99119423e-3))
    near = _fma(near, s, _f32(-2.67681349e-2))
    near = _fma(near, s, _f32(1.12819925e-1))
    near = _fma(near, s, _f32(-3.76125336e-1))
    near = _fma(near, s, _f32(1.28379166e-1))
    return far if t > _f32(0.927734375) else _fma(near, x, x)


def _erf64(x: Any) -> Any:
    return math.erf(x)


@_by_width(_erf32, _erf64)
def erf(x: Any) -> Any:
    """2 / sqrt(pi) * the integral of e**(-t*t) from 0 to x."""


def _call_pairwise(builder: Any, name: str, args: Any) -> Any:
    kind = args[0].type
    function = builder.module.declare_intrinsic(name, [kind], ir.FunctionType(kind, [kind, kind]))
    return builder.call(function, args)


def _emit_maximum(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return _call_pairwise(builder, "llvm.maximum", args)


def _emit_minimum(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return _call_pairwise(builder, "llvm.minimum", args)


if JIT:

    @intrinsic
    def maximum(typingctx: Any, a: Any, b: Any) -> Any:
        """The larger number, NaN if either is; unlike a comparison, a reduction by it is vectorised."""
        return a(a, a), _emit_maximum

    @intrinsic
    def minimum(typingctx: Any, a: Any, b: Any) -> Any:
        """The smaller number, NaN if either is."""
        return a(a, a), _emit_minimum

else:
    maximum, minimum = np.maximum, np.minimum


@register_jitable(**_OPTIONS)
def divide(a: Any, b: Any) -> Any:
    """a / b rounded once, where fast maths would multiply by 1 / b."""
    return a / b


@register_jitable(**_OPTIONS)
def subtract_both(x: Any, a: Any, b: Any) -> Any:
    """(x - a) - b in this order, where fast maths might add a and b first and lose the smaller."""
    return (x - a) - b


if JIT:
    register_jitable(**_OPTIONS)(_exp32)
