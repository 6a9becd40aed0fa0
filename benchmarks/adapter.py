"""The pixel-fusion adapter on this processor, and ways to compile it without a compiler at the user's.

    python benchmarks/adapter.py                 # all; some minutes on an idle machine
    python benchmarks/adapter.py --part adapter  # the shipped path alone: ms per pair of 256x256 crops

Part `scan`: the recurrence of one direction (16 channels, 16 states), the largest share of the time, on one
thread in every way at hand, in turn within each round:

    numba  the shipped loops (`edge_rgbt/adapter/kernels.py`)
    c      the same loops with vector types, built by the `ziglang` wheel if it is installed, else by `cc`
    onnx   ONNX's Scan operator over 256 tokens with all chunks side by side: one of the three passes that the
           portable graph of tpf.md section 10 needs, so a lower bound
    numpy  the specification, two passes

Part `adapter`: every variant on one and two threads. Part `start`: a fresh process that opens the adapter
from the cache. Milliseconds are medians; `cpu` is processor time, meaningful on a busy machine too.

Measured on an AVX-512 Xeon that another job kept busy, hence in processor time, on one thread:

    scan of 65 536 tokens   numba 8.7 ms, c 4.0, onnx 47 for one pass of three, numpy 115
    pair of 256x256 crops   full 157 ms, tied decay 142, half resolution 45; no more on two threads
    start from the cache    0.6 s and 115 MB; the very first one compiles for 11 to 16 s

Why Numba. C is about twice as fast in the scan, but its compiler has to come from somewhere. Built with the
wheel, it leaves a source checkout without an adapter; the `ziglang` wheel is 101 MB to fetch and 375 MB in
19 500 files to unpack, against 64 MB and 195 MB in 870 files for Numba and llvmlite, and brings a second
language. ONNX's Scan needs no further library, but pays for every token with seven operators over
memory. Without a vector math library Numba's loops still become vector code, because the exponential is a
polynomial and bits; a scan body that is too small is unrolled before LLVM gets to it (tied decay: 0.22
against 0.08 microseconds a token), hence its states in groups.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from adapters import adapter, image  # noqa: E402

from edge_rgbt.adapter import kernels, open_adapter, specification  # noqa: E402
from edge_rgbt.machine import describe_machine  # noqa: E402

CHANNELS, STATES = 16, 16
CHUNK = 256  # tokens that the ONNX graph walks over
NETWORKS = ("full", "tied", "s2")

C_SOURCE = """
typedef float floats __attribute__((vector_size(64), aligned(4)));
typedef int ints __attribute__((vector_size(64), aligned(4)));
static inline floats exp2_of(floats x) {
  floats least = (floats){} - 126.0f;
  ints above = x > least;
  x = (floats)(((ints)x & above) | ((ints)least & ~above));
  floats shifted = x + 12582912.0f, f = x - (shifted - 12582912.0f);
  floats p = 0.001326472389f * f + 0.00967151287f;
  p = p * f + 0.05550733754f; p = p * f + 0.2402224208f; p = p * f + 0.6931469776f; p = p * f + 1.0f;
  return (floats)((ints)p + ((ints)shifted << 23));
}
void scan(long length, const float *restrict steps, const float *restrict inputs, const float *restrict rates,
          const float *restrict B, const float *restrict C, float *restrict y) {
  floats h[16] = {};
  for (long t = 0; t < length; t++) {
    floats step = *(const floats *)(steps + 16 * t), value = *(const floats *)(inputs + 16 * t), sum = {};
    #pragma GCC unroll 16
    for (int n = 0; n < 16; n++) {
      h[n] = exp2_of(step * *(const floats *)(rates + 16 * n)) * h[n] + value * B[16 * t + n];
      sum += C[16 * t + n] * h[n];
    }
    *(floats *)(y + 16 * t) = sum;
  }
}
"""


@dataclass(frozen=True)
class Problem:
    """Inputs of one scan, as `specification.selective_scan` takes them, and what it makes of them."""

    u: np.ndarray
    steps: np.ndarray
    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    y: np.ndarray

    @classmethod
    def make(cls, tokens: int) -> Problem:
        rng = np.random.default_rng(0)
        u, B, C = (rng.standard_normal((tokens, CHANNELS)).astype(np.float32) for _ in range(3))
        steps = (0.1 * rng.random((tokens, CHANNELS))).astype(np.float32)
        A = np.tile(-np.arange(1, STATES + 1, dtype=np.float32), (CHANNELS, 1))
        return cls(u, steps, A, B, C, specification.selective_scan(u, steps, A, B, C)[0])


Way = Callable[[], np.ndarray]


def numpy_way(p: Problem) -> Way:
    return lambda: specification.selective_scan(p.u, p.steps, p.A, p.B, p.C)[0]


def numba_way(p: Problem) -> Way:
    """Chunks as in the adapter, twice as long because here each costs a call from Python."""
    piece = 2 * kernels.CHUNK
    cut = [slice(start, start + piece) for start in range(0, len(p.u), piece)]
    planes = [np.ascontiguousarray(v.T) for v in (p.steps, p.u)]
    params = np.ascontiguousarray(np.column_stack([np.zeros(len(p.u)), p.B, p.C]).T, np.float32)
    parts = [[np.ascontiguousarray(v[:, s]) for v in (*planes, params)] for s in cut]
    rows = np.empty((len(p.u), CHANNELS), np.float32)

    def run() -> np.ndarray:
        work = np.zeros(kernels._WORK, np.float32)
        work[kernels._A : kernels._A + CHANNELS * STATES] = (p.A.T * kernels.LOG2E).ravel()
        for (steps, u, both), s in zip(parts, cut, strict=True):
            kernels._scan(work, steps, u, both, 0, rows[s], steps.shape[1])
        return rows

    return run


def c_way(p: Problem, compiler: list[str], folder: Path) -> Way:
    source, library = folder / "scan.c", folder / "scan.so"
    source.write_text(C_SOURCE)
    command = [
        *compiler,
        "-O3",
        "-march=native",
        "-mprefer-vector-width=512",
        "-shared",
        "-fPIC",
        "-nostdlib",
    ]
    subprocess.run([*command, "-o", str(library), str(source)], check=True, capture_output=True)
    scan = ctypes.CDLL(str(library)).scan
    rates = np.ascontiguousarray(p.A.T * kernels.LOG2E, np.float32)
    y = np.empty_like(p.y)

    def run() -> np.ndarray:
        inputs = p.steps * p.u
        arrays = (p.steps, inputs, rates, p.B, p.C, y)
        scan(ctypes.c_long(len(y)), *(a.ctypes.data_as(ctypes.c_void_p) for a in arrays))
        return y

    return run


def onnx_way(p: Problem) -> Way:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(_scan_graph(p.A), options, providers=["CPUExecutionProvider"])
    chunks = len(p.u) // CHUNK

    def side_by_side(
        values: np.ndarray, axis: int
    ) -> np.ndarray:  # [256, chunks, 16] with an axis for outer products
        split = values[: chunks * CHUNK].reshape(chunks, CHUNK, 16).swapaxes(0, 1)
        return np.ascontiguousarray(np.expand_dims(split, axis))

    feeds = {
        "zero": np.zeros((chunks, CHANNELS, STATES), np.float32),
        "steps": side_by_side(p.steps, 3),
        "inputs": side_by_side(p.steps * p.u, 3),
        "B": side_by_side(p.B, 2),
        "C": side_by_side(p.C, 2),
    }
    return lambda: session.run(["y"], feeds)[0].swapaxes(0, 1)[
        0
    ]  # the first chunk, which does start from zero


def _scan_graph(A: np.ndarray) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    def value(name: str, *shape: int | str):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    nodes = [
        helper.make_node("Mul", ["step", "A"], ["exponent"]),
        helper.make_node("Exp", ["exponent"], ["decay"]),
        helper.make_node("Mul", ["decay", "h"], ["kept"]),
        helper.make_node("Mul", ["input", "b"], ["added"]),
        helper.make_node("Add", ["kept", "added"], ["h_next"]),
        helper.make_node("Mul", ["h_next", "c"], ["seen"]),
        helper.make_node("ReduceSum", ["seen", "last"], ["y_t"], keepdims=0),
    ]
    body = helper.make_graph(
        nodes,
        "token",
        [
            value("h", "K", CHANNELS, STATES),
            value("step", "K", CHANNELS, 1),
            value("input", "K", CHANNELS, 1),
            value("b", "K", 1, STATES),
            value("c", "K", 1, STATES),
        ],
        [value("h_next", "K", CHANNELS, STATES), value("y_t", "K", CHANNELS)],
    )
    names = ["zero", "steps", "inputs", "B", "C"]
    graph = helper.make_graph(
        [helper.make_node("Scan", names, ["end", "y"], body=body, num_scan_inputs=4)],
        "scan",
        [
            value("zero", "K", CHANNELS, STATES),
            value("steps", CHUNK, "K", CHANNELS, 1),
            value("inputs", CHUNK, "K", CHANNELS, 1),
            value("B", CHUNK, "K", 1, STATES),
            value("C", CHUNK, "K", 1, STATES),
        ],
        [value("y", CHUNK, "K", CHANNELS)],
        [numpy_helper.from_array(A, "A"), numpy_helper.from_array(np.array([-1], np.int64), "last")],
    )
    opset = [helper.make_opsetid("", 19)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()


def ways(p: Problem, folder: Path) -> Iterator[tuple[str, Way]]:
    """Every way that can be tried here."""
    yield "numba", numba_way(p)
    if importlib.util.find_spec("ziglang"):
        yield "c (zig)", c_way(p, [sys.executable, "-m", "ziglang", "cc"], folder)
    elif compiler := shutil.which("cc"):
        yield "c (cc)", c_way(p, [compiler], folder)
    if importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxruntime"):
        yield "onnx", onnx_way(p)
    yield "numpy", numpy_way(p)


def compare_ways(tokens: int, rounds: int) -> None:
    """One table: milliseconds, ratio to the shipped way, largest difference from the specification."""
    p = Problem.make(tokens)
    with tempfile.TemporaryDirectory() as folder:
        table = dict(ways(p, Path(folder)))
        results = {name: way() for name, way in table.items()}  # compiles, warms up
        times = measure(table, rounds)
    print(f"scan of one direction, {tokens} tokens, one thread, {rounds} rounds")
    print(f"{'way':<10}{'cpu ms':>10}{'wall ms':>10}{'ratio':>8}{'difference':>12}")
    for name, (cpu, wall) in times.items():
        off = np.abs(results[name] - p.y[: len(results[name])]).max() / np.abs(p.y).max()
        print(f"{name:<10}{cpu:>10.1f}{wall:>10.1f}{cpu / times['numba'][0]:>8.1f}{off:>12.1e}")


def time_variants(side: int, rounds: int) -> None:
    """One table: milliseconds per pair of crops of `side` pixels for every variant and number of threads."""
    crops = [image(f"benchmark/{m}", side, side)[None] for m in ("rgb", "tir")]
    opened = {(name, n): open_adapter(adapter(name), n) for name in NETWORKS for n in (1, 2)}
    table = {f"{name}, {n}": lambda a=a: a.fuse(*crops) for (name, n), a in opened.items()}
    for way in table.values():
        way()
    print(f"whole adapter, one pair of {side}x{side} crops, {rounds} rounds")
    print(f"{'variant, threads':<18}{'cpu ms':>10}{'wall ms':>10}")
    for name, (cpu, wall) in measure(table, rounds).items():
        print(f"{name:<18}{cpu:>10.1f}{wall:>10.1f}")


def measure(table: dict[str, Way], rounds: int) -> dict[str, tuple[float, float]]:
    """Median CPU and wall milliseconds of each way; every round runs all of them."""
    spans: dict[str, list[tuple[float, float]]] = {name: [] for name in table}
    for _ in range(rounds):
        for name, way in table.items():
            cpu, wall = time.process_time(), time.perf_counter()
            way()
            spans[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return {
        name: (1e3 * statistics.median(c for c, _ in v), 1e3 * statistics.median(w for _, w in v))
        for name, v in spans.items()
    }


def time_start(runs: int = 3) -> None:
    """CPU seconds and memory of a fresh process that opens the full adapter, compiled before."""
    code = (
        "import sys, time; sys.path[:0] = sys.argv[1:]\n"
        "from adapters import adapter\n"
        "from edge_rgbt.adapter import open_adapter\n"
        "from edge_rgbt.machine import peak_memory_mb\n"
        "weights, memory, began = adapter(), peak_memory_mb(), time.process_time()\n"
        "open_adapter(weights, 2)\n"
        "print(time.process_time() - began, peak_memory_mb() - memory)"
    )
    open_adapter(adapter(), 2)
    command = [sys.executable, "-c", code, str(ROOT), str(ROOT / "tests")]
    lines = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(runs)]
    seconds, memory = np.median([[float(value) for value in line.split()] for line in lines], axis=0)
    print(f"start from the cache: {seconds:.2f} s of processor time, {memory:.0f} MB more memory")


def main(argv: list[str] | None = None) -> int:
    """Prints the tables; see the module's text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("scan", "adapter", "start"), help="one part alone")
    parser.add_argument("--side", type=int, default=256, help="crop side in pixels (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="medians over so many (default %(default)s)")
    options = parser.parse_args(argv)
    machine = describe_machine()
    print(f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_1min']}, {os.uname().machine}")
    if options.part in (None, "scan"):
        compare_ways(options.side**2, options.rounds)
    if options.part in (None, "adapter"):
        time_variants(options.side, options.rounds)
    if options.part in (None, "start"):
        time_start()
    return 0


if __name__ == "__main__":
    sys.exit(main())
