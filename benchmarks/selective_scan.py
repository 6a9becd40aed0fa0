"""How fast the selective scan trains: against the step-by-step loop, in one process on one device.

    python -m benchmarks.selective_scan [--tokens 65536] [--loop-tokens 65536] [--device cpu] [--threads 1]

Sizes are those of an 8-channel block of the adapter: 16 channels, 16 states, one 256 x 256 crop. The loop
may be given fewer tokens and is then scaled up, since its time grows in proportion. Prints seconds of forward
and backward, the ratio, and the most memory that the scan held, inputs, outputs and gradients included, next
to the size of inputs and outputs alone (CPU: of all allocations; CUDA: of the allocator).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from training.models.tpf.scan import scan_stepwise, selective_scan

CHANNELS, STATES = 16, 16
Scan = Callable[..., tuple[Tensor, Tensor]]


def make_inputs(tokens: int, device: torch.device, seed: int = 0) -> list[Tensor]:
    """u, delta, A, B, C, D, z, delta_bias: what a scan takes, float32, all to be differentiated."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device).requires_grad_()

    rates = -torch.arange(1.0, STATES + 1).repeat(CHANNELS, 1)
    u, delta, z = (normal(1, CHANNELS, tokens) for _ in range(3))
    B, C = (normal(1, STATES, tokens) for _ in range(2))
    return [u, delta, rates.to(device).requires_grad_(), B, C, normal(CHANNELS), z, normal(CHANNELS)]


def forward_backward(scan: Scan, inputs: list[Tensor]) -> Tensor:
    y, _ = scan(*inputs, delta_softplus=True)
    torch.autograd.backward(y, torch.ones_like(y))
    return y


def measure_time(scan: Scan, inputs: list[Tensor], repeats: int) -> tuple[float, float]:
    """Least wall and processor seconds of forward and backward."""
    best_wall, best_cpu = float("inf"), float("inf")
    for _ in range(repeats):
        _synchronise(inputs[0].device)
        wall, cpu = time.perf_counter(), time.process_time()
        forward_backward(scan, inputs)
        _synchronise(inputs[0].device)
        best_wall = min(best_wall, time.perf_counter() - wall)
        best_cpu = min(best_cpu, time.process_time() - cpu)
    return best_wall, best_cpu


def measure_memory(tokens: int, device: str = "cpu") -> tuple[int, int]:
    """Bytes of inputs and outputs, and the most bytes held at once during forward and backward."""
    inputs = make_inputs(tokens, torch.device(device))
    before = sum(tensor.nbytes for tensor in inputs)
    if device == "cpu":
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
            y = forward_backward(selective_scan, inputs)
        extra = _peak_of_events(recorded)
    else:
        torch.cuda.reset_peak_memory_stats()
        start = torch.cuda.memory_allocated()
        y = forward_backward(selective_scan, inputs)
        extra = torch.cuda.max_memory_allocated() - start
    return before + y.nbytes, before + extra


def _peak_of_events(recorded: profile) -> int:
    """Highest sum of allocations and releases in the order in which they happened."""
    assert recorded.profiler is not None
    assert recorded.profiler.kineto_results is not None
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=65536, help="length of the scan (default 65536)")
    parser.add_argument("--loop-tokens", type=int, help="length of the loop (default: the same)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    parser.add_argument("--threads", type=int, help="threads of PyTorch (default: its own choice)")
    parser.add_argument(
        "--repeats", type=int, default=3, help="runs of the scan, the best counts (default 3)"
    )
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    device, loop_tokens = torch.device(args.device), args.loop_tokens or args.tokens
    print(
        f"PyTorch {torch.__version__}, {args.device}, {torch.get_num_threads()} threads, {args.tokens} tokens"
    )
    forward_backward(selective_scan, make_inputs(1024, device))
    wall, cpu = measure_time(selective_scan, make_inputs(args.tokens, device), args.repeats)
    print(f"scan: {wall:.3f} s (processor {cpu:.3f} s)")
    loop_wall, loop_cpu = measure_time(scan_stepwise, make_inputs(loop_tokens, device), 1)
    scale = args.tokens / loop_tokens
    print(f"loop: {loop_wall * scale:.3f} s (processor {loop_cpu * scale:.3f} s), from {loop_tokens} tokens")
    print(f"ratio: {loop_wall * scale / wall:.1f} (processor {loop_cpu * scale / cpu:.1f})")
    held, peak = measure_memory(args.tokens, args.device)
    print(
        f"memory: {peak / 1e6:.1f} MB at the most, {peak / held:.2f} times inputs and outputs "
        f"({held / 1e6:.1f} MB)"
    )


if __name__ == "__main__":
    main()
