"""What every family hands to the export: a tracker with its weights, and what its bundle says about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from edge_rgbt.engine.base import TensorSpec
from edge_rgbt.errors import UsageError
from edge_rgbt.manifest import DynamicTemplate
from training.checkpoints import Checkpoint
from training.export.costs import Cost
from training.export.deployable import Deployable
from training.models.head import HeadOutput


@dataclass(frozen=True)
class ExportOptions:
    """What the user may choose. elimination: none, ce or mce instead of what the checkpoint says (CKD)."""

    elimination: str | None = None
    half: bool = False


class TrackerNetwork(Protocol):
    """What the export needs of a test-time network beside its being a module made from `config`."""

    config: Any

    def input_specs(self) -> tuple[TensorSpec, ...]:
        """The inputs of the deployed graph, in the order of `from_pixels`."""
        ...

    def from_pixels(self, *crops: Tensor) -> HeadOutput:
        """The answer to inputs as the specs describe them, one tensor each."""
        ...


@dataclass(frozen=True)
class Sizes:
    """Crop sizes in pixels, crop side over the square root of the box area, pixels per cell of the maps."""

    template_size: int
    search_size: int
    template_factor: float
    search_factor: float
    stride: int

    @classmethod
    def of(cls, config: Any) -> Sizes:
        """The sizes in a tracker's configuration: its factors, and the rest in its `vit`."""
        vit = config.vit
        return cls(
            vit.template_size, vit.search_size, config.template_factor, config.search_factor, vit.patch_size
        )


@dataclass(frozen=True, eq=False)
class Exportable:
    """One checkpoint ready to leave PyTorch.

    tracker: the reference that the graph must agree with. network: the same in its deployable form.
    files: what the bundle carries beside the graph. macs: multiply-accumulates of one frame, by kind.
    """

    family: str
    name: str
    tracker: TrackerNetwork
    network: Deployable
    source: Checkpoint
    sizes: Sizes
    params: int
    macs: Mapping[str, int]
    dynamic_template: DynamicTemplate | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


def counted(cost: Cost) -> dict[str, int]:
    """A tracker's multiply-accumulates under the names that the manifest uses."""
    return {"linear and convolution": cost.layers, "attention products": cost.attention}


def refuse_elimination(family: str, options: ExportOptions) -> None:
    """Raises UsageError if token elimination was asked of a family that has none."""
    if options.elimination not in (None, "none"):
        raise UsageError(f"family {family} has no token elimination; leave --elimination out")
