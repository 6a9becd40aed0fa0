"""One step of a sharded tracker in several processes; prints as JSON what test_engine_processes.py asks."""

from __future__ import annotations

import copy
import json

import torch
from torch.distributed.tensor import DTensor

from training.engine.processes import open_team
from training.engine.settings import EngineSettings
from training.engine.sharding import whole
from training.engine.stepping import Arrays, Stepper
from training.models.ckd import CkdConfig, CkdTracker
from training.models.vit import Mlp, VitConfig

SAMPLES = 4
SIZES = VitConfig(
    64, 6, 2, patch_size=8, template_size=16, search_size=32, drop_path=0.0, unused_tables=False
)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    # In evaluation mode samples do not meet in BatchNorm, so that parts have the gradient of the whole.
    tracker = CkdTracker(CkdConfig(SIZES, head_channels=8, shared_students=True)).eval()
    reference = copy.deepcopy(tracker)
    sides = (SIZES.template_size, SIZES.template_size, SIZES.search_size, SIZES.search_size)
    arrays = {str(i): torch.randn(SAMPLES, 3, side, side) for i, side in enumerate(sides)}
    losses(reference, arrays)["total"].backward()
    with open_team("cpu") as team:
        settings = EngineSettings(device="cpu", precision="float32", shard=True, micro_batch=1)
        stepper = Stepper(tracker, team, settings)
        most_whole = 0

        def count(*_: object) -> None:
            nonlocal most_whole
            present = sum(p.numel() for p in tracker.parameters() if not isinstance(p, DTensor))
            most_whole = max(most_whole, present)

        for module in tracker.modules():
            if isinstance(module, Mlp):
                module.fc1.register_forward_hook(count)
        own = {name: value.chunk(team.size)[team.rank] for name, value in arrays.items()}
        stepper.gradients(own, lambda part: losses(stepper.forward, part))
        expected = dict(reference.named_parameters())
        held, error = 0, 0.0
        for name, parameter in tracker.named_parameters():
            assert isinstance(parameter, DTensor), name
            assert parameter.grad is not None, name
            held += parameter.to_local().numel()
            error = max(error, (whole(parameter.grad) - expected[name].grad).abs().max().item())
        if team.leads:
            numbers = sum(p.numel() for p in reference.parameters())
            found = {"numbers": numbers, "held": held, "most_whole": most_whole, "gradient_error": error}
            print(json.dumps(found))


def losses(model: torch.nn.Module, part: Arrays) -> dict[str, torch.Tensor]:
    return {"total": sum(maps.square().mean() for maps in model(*part.values()))}


if __name__ == "__main__":
    main()
