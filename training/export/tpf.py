"""TPF for the export: the tracker behind the adapter as a graph, the adapter as a file of weights."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from edge_rgbt.adapter.weights import ADAPTER_FILE
from edge_rgbt.manifest import DynamicTemplate
from training.export.costs import measure_cost
from training.export.deployable import Deployable
from training.export.exportable import Exportable, ExportOptions, Sizes, counted, refuse_elimination
from training.models.tpf.adapter import FusionAdapter, adapter_macs
from training.models.tpf.stored import load_network
from training.models.tpf.tracker import TpfTracker


class DeployableTpf(Deployable):
    """Takes fused images, float32 `[N, H, W, 3]` in 0..1, RGB order."""

    def __init__(self, tracker: TpfTracker, half: bool = False) -> None:
        super().__init__(tracker, 1.0, half)

    def forward(self, template: Tensor, dynamic: Tensor, search: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.answer(template, dynamic, search)


def load(checkpoint: Path, options: ExportOptions) -> Exportable:
    """Tracker and adapter of a checkpoint of ours, of either training stage."""
    refuse_elimination("tpf", options)
    network, source = load_network(checkpoint)
    tracker, adapter, config = network.tracker(), network.adapter, network.config
    cost, vit = measure_cost(tracker), config.vit
    return Exportable(
        family="tpf",
        name=f"tpf-{vit.embed_dim}x{vit.depth}-{config.adapter}",
        tracker=tracker,
        network=DeployableTpf(tracker, options.half),
        source=source,
        sizes=Sizes.of(config),
        params=cost.parameters + sum(p.numel() for p in adapter.parameters()),
        macs={**counted(cost), "adapter on the search crops": adapter_macs(config.adapter, vit.search_size)},
        dynamic_template=DynamicTemplate(config.dynamic_interval, config.dynamic_threshold),
        files={ADAPTER_FILE: adapter_file(adapter)},
    )


def adapter_file(adapter: FusionAdapter) -> bytes:
    """Contents of `adapter.safetensors`: float32 weights, and the variant among the metadata."""
    tensors = {key: value.detach().float().contiguous() for key, value in adapter.state_dict().items()}
    return save(tensors, metadata={"variant": adapter.variant})
