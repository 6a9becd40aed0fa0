"""The adapter's loops, compiled for this processor by Numba on first use and kept in its cache.

Layout: planes, `[channels, tokens]` float32, so that inner loops run along tokens and fill vector registers
of any width; only the scan runs along channels, 16 at a time. A direction of a ViM block walks over its
tokens in chunks that stay in the first-level cache, from norm to scan; nothing but y leaves a chunk.
Formulas: tpf.md section 3.

Exponentials are a polynomial and an addition to the exponent's bits, which LLVM turns into vector code
without a vector math library. All functions run without Python's lock; callers give them their own threads.
"""

from __future__ import annotations

import math

import numpy as np
from numba import __version__ as NUMBA_VERSION
from numba import njit

__all__ = ["NUMBA_VERSION", "convolve", "direction", "finish"]

CHUNK = 64  # tokens
LANES = 16  # channels that the scan holds at once
STATES = 16

# Fused multiply-adds are allowed, reassociation is not: `_exp2` rounds by adding and taking away.
_compile = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nnan", "ninf", "nsz"})

_EPSILON = np.float32(1e-5)
_ZERO, _HALF, _ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)
LOG2E = np.float32(math.log2(math.e))
_ROUND = np.float32(1.5 * 2**23)  # adding it leaves the nearest whole number in the lowest bits
_LEAST, _MOST = np.float32(-126.0), np.float32(126.0)
# (2^f - 1) / f for |f| <= 1/2: 2^f within 1e-7, and exactly 1 at 0, so that slow decays keep their length.
_F0, _F1, _F2 = np.float32(0.6931469776), np.float32(0.2402224208), np.float32(0.05550733754)
_F3, _F4 = np.float32(0.00967151287), np.float32(0.001326472389)
# log(1 + q) / q for 0 <= q <= 1, within 3e-8.
_Q0, _Q1, _Q2 = np.float32(0.9999999745), np.float32(-0.4999955256), np.float32(0.3332034301)
_Q3, _Q4, _Q5 = np.float32(-0.2485294131), np.float32(0.1914509861), np.float32(-0.1374658359)
_Q6, _Q7, _Q8 = np.float32(0.0792102783), np.float32(-0.03011067779), np.float32(0.005383989462)


@_compile
def _exp2(x):
    """2^x for x up to 126; 2^-126 where it would be smaller still."""
    x = max(x, _LEAST)
    shifted = x + _ROUND
    f = x - (shifted - _ROUND)
    p = (((_F4 * f + _F3) * f + _F2) * f + _F1) * f + _F0
    bits = np.float32(p * f + _ONE).view(np.int32) + (np.float32(shifted).view(np.int32) << np.int32(23))
    return np.int32(bits).view(np.float32)


@_compile
def _sigmoid(a):
    return _ONE / (_ONE + _exp2(min(-a * LOG2E, _MOST)))


@_compile
def _softplus(a):
    """log(1 + e^a) as max(a, 0) + log(1 + e^-|a|), both with their relative precision."""
    q = _exp2(-abs(a) * LOG2E)
    p = (((_Q8 * q + _Q7) * q + _Q6) * q + _Q5) * q + _Q4
    p = (((p * q + _Q3) * q + _Q2) * q + _Q1) * q + _Q0
    return max(a, _ZERO) + p * q


@_compile
def _mix(weight, source, target, count):
    """target[o, :count] = sum over i of weight[o, i] * source[i, :count]; i in eights."""
    for o in range(weight.shape[0]):
        out = target[o]
        for i in range(0, weight.shape[1], 8):
            w0, w1, w2, w3 = weight[o, i], weight[o, i + 1], weight[o, i + 2], weight[o, i + 3]
            w4, w5, w6, w7 = weight[o, i + 4], weight[o, i + 5], weight[o, i + 6], weight[o, i + 7]
            s0, s1, s2, s3 = source[i], source[i + 1], source[i + 2], source[i + 3]
            s4, s5, s6, s7 = source[i + 4], source[i + 5], source[i + 6], source[i + 7]
            if i == 0:
                for t in range(count):
                    a = w0 * s0[t] + w1 * s1[t] + w2 * s2[t] + w3 * s3[t]
                    out[t] = a + (w4 * s4[t] + w5 * s5[t] + w6 * s6[t] + w7 * s7[t])
            else:
                for t in range(count):
                    a = w0 * s0[t] + w1 * s1[t] + w2 * s2[t] + w3 * s3[t]
                    out[t] += a + (w4 * s4[t] + w5 * s5[t] + w6 * s6[t] + w7 * s7[t])


@_compile
def _normed(x, first, count, reverse, norm):
    """norm[:, :count] = tokens first.. of x in the direction's order over their root mean square."""
    channels, length = x.shape
    sums = norm[channels]  # one row more than there are channels
    for t in range(count):
        sums[t] = _ZERO
    for c in range(channels):
        row, out = x[c], norm[c]
        if reverse:
            begin = length - first - count
            for t in range(count):
                out[t] = row[np.uint64(begin + count - 1 - t)]
        else:
            for t in range(count):
                out[t] = row[np.uint64(first + t)]
        for t in range(count):
            sums[t] += out[t] * out[t]
    share = _ONE / np.float32(channels)
    for t in range(count):
        sums[t] = _ONE / np.sqrt(sums[t] * share + _EPSILON)
    for c in range(channels):
        out = norm[c]
        for t in range(count):
            out[t] *= sums[t]


@_compile
def _convolved(v, taps, u, count):
    """u = SiLU(causal convolution of v); v holds the three tokens before the chunk first."""
    for e in range(u.shape[0]):
        w0, w1, w2, w3, bias = taps[e, 0], taps[e, 1], taps[e, 2], taps[e, 3], taps[e, 4]
        row, out = v[e], u[e]
        for t in range(count):
            c = w0 * row[t] + w1 * row[t + 1] + w2 * row[t + 2] + w3 * row[t + 3] + bias
            out[t] = c * _sigmoid(c)


@_compile
def _steps(weight, bias, shared, steps, count):
    """steps[e] = softplus(weight[e] * shared + bias[e])."""
    for e in range(steps.shape[0]):
        w, b, out = weight[e], bias[e], steps[e]
        for t in range(count):
            out[t] = _softplus(w * shared[t] + b)


# The scan's working memory for 16 channels, in one array: within one array LLVM needs few checks for overlap.
_H, _A, _STEP, _IN, _Y, _SKIP, _POWER = 0, 256, 512, 528, 544, 560, 576
_WORK = 592


@_compile
def _load(work, t, steps, u, base):
    """Step, input and skip of one token of 16 channels."""
    for e in range(LANES):
        work[_STEP + e] = steps[base + e, t]
        work[_Y + e] = u[base + e, t]
    for e in range(LANES):
        work[_IN + e] = work[_STEP + e] * work[_Y + e]
        work[_Y + e] *= work[_SKIP + e]


# Both scans take states in groups: a loop body too large to be unrolled is what LLVM turns into vector code.


@_compile
def _scan(work, steps, u, params, base, rows, count):
    """rows[t] = y of channels base..base+15; the state stays in `work`."""
    for t in range(count):
        _load(work, t, steps, u, base)
        for n in range(0, STATES, 2):
            b0, b1 = params[1 + n, t], params[2 + n, t]
            c0, c1 = params[17 + n, t], params[18 + n, t]
            at = n * LANES
            for e in range(LANES):
                step, value = work[_STEP + e], work[_IN + e]
                h0 = _exp2(step * work[_A + at + e]) * work[_H + at + e] + value * b0
                h1 = _exp2(step * work[_A + at + 16 + e]) * work[_H + at + 16 + e] + value * b1
                work[_H + at + e] = h0
                work[_H + at + 16 + e] = h1
                work[_Y + e] += c0 * h0 + c1 * h1
        for e in range(LANES):
            rows[t, e] = work[_Y + e]


@_compile
def _scan_tied(work, steps, u, params, base, rows, count):
    """`_scan` where decay n is the power n + 1 of the first one: an exponential per channel, not sixteen."""
    for t in range(count):
        _load(work, t, steps, u, base)
        for e in range(LANES):
            work[_STEP + e] = _exp2(work[_STEP + e] * work[_A + e])
            work[_POWER + e] = _ONE
        for n in range(0, STATES, 4):
            b0, b1, b2, b3 = params[1 + n, t], params[2 + n, t], params[3 + n, t], params[4 + n, t]
            c0, c1, c2, c3 = params[17 + n, t], params[18 + n, t], params[19 + n, t], params[20 + n, t]
            at = n * LANES
            for e in range(LANES):
                decay, value = work[_STEP + e], work[_IN + e]
                squared = decay * decay
                d0, d1 = work[_POWER + e] * decay, work[_POWER + e] * squared
                d2, d3 = d0 * squared, d1 * squared
                h0 = d0 * work[_H + at + e] + value * b0
                h1 = d1 * work[_H + at + 16 + e] + value * b1
                h2 = d2 * work[_H + at + 32 + e] + value * b2
                h3 = d3 * work[_H + at + 48 + e] + value * b3
                work[_H + at + e] = h0
                work[_H + at + 16 + e] = h1
                work[_H + at + 32 + e] = h2
                work[_H + at + 48 + e] = h3
                work[_POWER + e] = d3
                work[_Y + e] += (c0 * h0 + c1 * h1) + (c2 * h2 + c3 * h3)
        for e in range(LANES):
            rows[t, e] = work[_Y + e]


@_compile
def direction(x, y, reverse, tied, in_proj, taps, x_proj, step_weight, step_bias, rates, skip):
    """One direction of a ViM block, before the gate: tokens x `[D, L]` to y `[E, L]`, both in pixel order.

    in_proj `[E, D]` with the norm's gain multiplied on; taps `[E, 5]`: four taps, bias; x_proj `[1 + 2N, E]`;
    rates `[N, E]` = A log2(e).
    """
    channels, length = x.shape
    inner = y.shape[0]
    norm = np.empty((channels + 1, CHUNK), np.float32)
    v = np.zeros((inner, CHUNK + 3), np.float32)
    fresh = np.empty((inner, CHUNK), np.float32)
    u = np.empty((inner, CHUNK), np.float32)
    steps = np.empty((inner, CHUNK), np.float32)
    params = np.empty((1 + 2 * STATES, CHUNK), np.float32)
    rows = np.empty((CHUNK, LANES), np.float32)
    work = np.zeros((inner // LANES, _WORK), np.float32)
    for block in range(inner // LANES):
        for e in range(LANES):
            work[block, _SKIP + e] = skip[block * LANES + e]
            for n in range(STATES):
                work[block, _A + n * LANES + e] = rates[n, block * LANES + e]
    for first in range(0, length, CHUNK):
        count = min(CHUNK, length - first)
        _normed(x, first, count, reverse, norm)
        _mix(in_proj, norm, fresh, count)
        for e in range(inner):
            v[e, 3 : 3 + count] = fresh[e, :count]
        _convolved(v, taps, u, count)
        for e in range(inner):
            for k in range(3):
                v[e, k] = v[e, count + k]
        _mix(x_proj, u, params, count)
        _steps(step_weight, step_bias, params[0], steps, count)
        for block in range(inner // LANES):
            if tied:
                _scan_tied(work[block], steps, u, params, block * LANES, rows, count)
            else:
                _scan(work[block], steps, u, params, block * LANES, rows, count)
            for e in range(LANES):
                out = y[block * LANES + e]
                for t in range(count):
                    place = length - 1 - first - t if reverse else first + t
                    out[np.uint64(place)] = rows[t, e]


@_compile
def finish(x, forward, backward, first, last, gate, out_proj, target, rows, shift):
    """Gate, output projection and residual of tokens first..last-1 of a ViM block.

    Channel c of token t goes to target[rows[c], t + shift[c]], which swaps and joins channels by addressing.
    """
    channels, inner = x.shape[0], forward.shape[0]
    norm = np.empty((channels + 1, CHUNK), np.float32)
    z = np.empty((inner, CHUNK), np.float32)
    added = np.empty((channels, CHUNK), np.float32)
    for begin in range(first, last, CHUNK):
        count = min(CHUNK, last - begin)
        _normed(x, begin, count, False, norm)
        _mix(gate, norm, z, count)
        for e in range(inner):
            row, ahead, back = z[e], forward[e, begin:], backward[e, begin:]
            for t in range(count):
                row[t] = row[t] * _sigmoid(row[t]) * (_HALF * (ahead[t] + back[t]))
        _mix(out_proj, z, added, count)
        for c in range(channels):
            source, extra = x[c, begin:], added[c]
            out = target[rows[c], begin + shift[c] :]
            for t in range(count):
                out[t] = source[t] + extra[t]


@_compile
def convolve(padded, weight, bias, stride, out, first, last, squash):
    """Rows first..last-1 of a convolution from padded `[C, H + k - 1, W + k - 1]` to out `[O, H', W']`.

    k: 3 or 5. H' = H / stride. squash: through the logistic function.
    """
    side = weight.shape[3]
    for o in range(weight.shape[0]):
        for y in range(first, last):
            out_row = out[o, y]
            for x in range(out_row.size):
                out_row[x] = bias[o]
            for c in range(weight.shape[1]):
                for k in range(side):
                    _add_taps(padded[c, y * stride + k], weight[o, c, k], stride, out_row)
            if squash:
                for x in range(out_row.size):
                    out_row[x] = _sigmoid(out_row[x])


@_compile
def _add_taps(row, w, stride, out):
    """out += correlation of a row with 3 or 5 taps."""
    if w.size == 5:
        for x in range(out.size):
            a = w[0] * row[x] + w[1] * row[x + 1] + w[2] * row[x + 2]
            out[x] += a + (w[3] * row[x + 3] + w[4] * row[x + 4])
    elif stride == 1:
        for x in range(out.size):
            out[x] += w[0] * row[x] + w[1] * row[x + 1] + w[2] * row[x + 2]
    else:
        for x in range(out.size):
            out[x] += w[0] * row[2 * x] + w[1] * row[2 * x + 1] + w[2] * row[2 * x + 2]
