"""How fast a CKD training step is: the engine's ways against a plain eager float32 loop, in one process.

    python -m benchmarks.training_rate --size compact --batch 16
    python -m benchmarks.training_rate --size vit-b --batch 10 --ways float32 bfloat16 bfloat16+compile

Every way trains a copy of the same network on the same random batch; their steps take turns, so that a busy
machine slows them alike. Prints the median milliseconds per step, samples per second and the ratio to the
plain loop; on a CPU also the processor's time and its ratio, which a busy machine disturbs less. Forward,
losses, backward, clipping and the optimiser's step are in it; loading is not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch

from edge_rgbt.machine import describe_machine
from training.data.loader import to_batch
from training.data.settings import DataSettings
from training.engine.processes import Team, choose_device
from training.engine.schedules import OptimiserSettings, make_optimiser
from training.engine.settings import EngineSettings
from training.engine.stepping import Stepper
from training.losses.ckd import content_loss, style_loss
from training.losses.task import gaussian_heatmaps, task_loss
from training.models.ckd import CkdTrainingModel
from training.models.head import decode_boxes
from training.models.vit import VitConfig
from training.recipes.batches import network_input
from training.recipes.ckd import training_losses
from training.recipes.ckd_settings import ModelSettings, Recipe

SIZES = {
    "tiny": ModelSettings(VitConfig(32, 2, 2, 2.0, 8, "conv", 32, 64, 0.0, False), 16, True),
    "compact": ModelSettings(VitConfig(128, 4, 2, 4.0, 8, "conv", 64, 128, 0.0, False), 128, True),
    "vit-b": ModelSettings(VitConfig(drop_path=0.0)),
}
WAYS = ("float32", "float32+compile", "bfloat16", "bfloat16+compile")


def random_batch(model: ModelSettings, batch: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Noise crops with boxes near the centre, heat maps and masks, as a recipe hands them over."""
    dice = torch.Generator().manual_seed(seed)
    sides = {"template": model.vit.template_size, "search": model.vit.search_size}
    arrays = {
        f"{part}_{kind}": torch.randint(0, 256, (batch, side, side, 3)[: 4 if kind == "rgb" else 3],
                                        dtype=torch.uint8, generator=dice)
        for part, side in sides.items()
        for kind in ("rgb", "tir")
    }  # fmt: skip
    arrays["target"] = torch.rand(batch, 4, generator=dice) * 0.1 + torch.tensor([0.3, 0.3, 0.2, 0.2])
    heatmap = gaussian_heatmaps(arrays["target"].numpy(), model.vit.search_side)
    arrays["heatmap"] = torch.from_numpy(heatmap)[:, None]
    arrays["mask_keep"] = torch.rand(batch, model.vit.search_tokens, generator=dice) > 0.25
    return arrays


def plain_step(
    model: ModelSettings, arrays: dict[str, torch.Tensor], device: torch.device
) -> Callable[[], None]:
    """The step as one would write it first: eager, float32, one optimiser kernel per parameter."""
    network = CkdTrainingModel(model.config()).to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, foreach=False, fused=False)

    def step() -> None:
        part = {key: value.to(device) for key, value in arrays.items()}
        batch, heatmap = to_batch(part), part["heatmap"]
        out = network(*network_input(batch), part["mask_keep"])
        heads = (out.student, out.teacher_rgb, out.teacher_tir)
        total = sum(task_loss(h.score, decode_boxes(h), batch.target, heatmap).total for h in heads)
        total = total + 0.01 * style_loss(out.taps.rgb_branch, out.taps.tir_branch).sum()
        total = total + 0.1 * content_loss(out.taps.teacher_tir, out.taps.tir_branch).sum()
        total = total + 0.1 * content_loss(out.taps.teacher_rgb, out.taps.rgb_branch).sum()
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.1)
        optimiser.step()

    return step


def engine_step(
    way: str, model: ModelSettings, arrays: dict[str, torch.Tensor], device: torch.device
) -> Callable[[], None]:
    """The step as the recipe takes it. way: a precision, with `+compile` or without."""
    precision, _, compiled = way.partition("+")
    recipe = Recipe(
        out="", seed=0, model=model, data=DataSettings(),
        optimiser=OptimiserSettings(steps=1, clip_norm=0.1, learning_rate=1e-4),
        engine=EngineSettings(precision=precision, compile=bool(compiled)),  # type: ignore[arg-type]
    )  # fmt: skip
    stepper = Stepper(CkdTrainingModel(model.config()).train(), Team(0, 1, device), recipe.engine)
    optimiser = make_optimiser(stepper.model, recipe.optimiser)
    centres = float(len(arrays["target"]))

    def step() -> None:
        stepper.gradients(
            arrays, lambda part: training_losses(stepper, recipe, part, centres=centres, keep_ratio=None)
        )
        stepper.update(optimiser, recipe.optimiser.clip_norm)

    return step


def timed(step: Callable[[], None], device: torch.device) -> tuple[float, float]:
    """Wall and processor seconds of one step."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start, cpu = time.perf_counter(), time.process_time()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, default="compact", help="the network (default compact)")
    parser.add_argument("--batch", type=int, default=16, help="samples per step (default 16)")
    parser.add_argument("--rounds", type=int, default=10, help="timed steps of each way (default 10)")
    parser.add_argument("--warm-up", type=int, default=2, help="steps before (default 2)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["float32", "bfloat16"])
    args = parser.parse_args()
    device, model = choose_device("auto"), SIZES[args.size]
    arrays = random_batch(model, args.batch)
    steps = {"plain float32": plain_step(model, arrays, device)}
    steps |= {way: engine_step(way, model, arrays, device) for way in args.ways}
    for step in steps.values():
        for _ in range(args.warm_up):
            step()
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(args.rounds):
        for name, step in steps.items():
            seconds[name].append(timed(step, device))
    medians = {
        name: tuple(statistics.median(column) for column in zip(*values, strict=True))
        for name, values in seconds.items()
    }
    threads = torch.get_num_threads()
    print(f"{args.size}, batch {args.batch}, {device}, {threads} thread(s), median of {args.rounds}")
    plain_wall, plain_cpu = medians["plain float32"]
    for name, (wall, cpu) in medians.items():
        line = (
            f"{name:>18} {1e3 * wall:9.1f} ms {args.batch / wall:9.1f} samples/s {plain_wall / wall:6.2f} x"
        )
        if device.type == "cpu":
            line += f"; processor {1e3 * cpu:9.1f} ms {plain_cpu / cpu:6.2f} x"
        print(line)
    print(json.dumps(describe_machine()))


if __name__ == "__main__":
    main()
