"""TPF in its first stage: the adapter imitates image fusion experts (tpf.md section 6)."""

from __future__ import annotations

from torch import Tensor

from training.models.tpf.tracker import CropPair, TpfNetwork


class ImitationModel(TpfNetwork):
    """The network in the first stage. Its adapter works; the tracker is carried along for the second."""

    def forward(self, template: CropPair, search: CropPair) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Fused template and search pictures `[B, 3, H, W]` in 0..1."""
        return self.adapter(*template), self.adapter(*search)
