"""Runs several branches side by side, one layer at a time, so that they can decide together what to drop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.models.elimination import (
    Cut,
    EliminationConfig,
    keep_count,
    keep_tokens,
    mutual_rows,
    restore_search,
    search_scores,
    template_queries,
)
from training.models.vit import Vit


@dataclass(eq=False)
class Stream:
    """A branch on its way through the layers.

    tokens: `[B * modalities, N, C]`; a branch with shared weights carries both modalities of a sample side by
    side, RGB first, so that the free batch axis stays in front when a sample is split up again.
    index: original places of the remaining search tokens `[B * modalities, n]`, None while all are there.
    votes: takes part in the common decision. taps: block outputs, if they were asked for.
    """

    branch: Vit
    tokens: Tensor
    modalities: int = 1
    votes: bool = True
    index: Tensor | None = None
    taps: list[Tensor] | None = None

    def per_modality(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Splits a tensor of this stream into its modalities, `[B, ...]` each."""
        if self.modalities == 1:
            return (tensor,)
        return tensor.view(-1, self.modalities, *tensor.shape[1:]).unbind(1)

    def cut(self, positions: Tensor) -> None:
        """Drops all search tokens but those at `positions`, given per sample or once for all modalities."""
        if positions.shape[0] != self.tokens.shape[0]:
            positions = interleave([positions] * self.modalities)
        self.tokens = keep_tokens(self.tokens, positions, self.branch.config.template_tokens)
        self.index = positions if self.index is None else self.index.gather(1, positions)

    def finish(self) -> Tensor:
        """After the last block: normalised tokens `[B * modalities, Nz + Nx, C]` in raster order, gaps 0."""
        config = self.branch.config
        tokens = self.branch.norm(self.tokens)
        if self.index is None:
            return tokens
        template, search = tokens[:, : config.template_tokens], tokens[:, config.template_tokens :]
        return torch.cat((template, restore_search(search, self.index, config.search_tokens)), dim=1)


def interleave(parts: Sequence[Tensor]) -> Tensor:
    """One batch of several modalities: `[B, ...]` each to `[B * modalities, ...]`, sample by sample."""
    return torch.stack(tuple(parts), dim=1).reshape(-1, *parts[0].shape[1:])


def run_branches(
    streams: Sequence[Stream], elimination: EliminationConfig, keep_ratio: float | None = None
) -> dict[int, tuple[Cut, ...]]:
    """Takes all streams through all blocks; returns per elimination layer the decision or decisions taken.

    keep_ratio: replaces the ratio of every elimination layer (the schedule in training).
    """
    config = streams[0].branch.config
    queries = template_queries(config.template_side, elimination.template_mask)
    cuts: dict[int, tuple[Cut, ...]] = {}
    for layer in range(config.depth):
        ratio = elimination.ratio_at(layer)
        if keep_ratio is not None and ratio < 1.0:
            ratio = keep_ratio
        present = streams[0].tokens.shape[1] - config.template_tokens
        kept = keep_count(present, ratio)
        rows = []
        for stream in streams:
            needed = kept < present and (elimination.mode == "ce" or stream.votes)
            stream.tokens, row = stream.branch.block(layer).attend(stream.tokens, queries if needed else ())
            rows.append(row)
        if kept < present:
            cuts[layer] = _eliminate(streams, rows, layer, kept, common=elimination.mode == "mce")
        for stream in streams:
            stream.tokens = stream.branch.block(layer).feed_forward(stream.tokens)
            if stream.taps is not None:
                stream.taps.append(stream.tokens)
    return cuts


def _eliminate(
    streams: Sequence[Stream], rows: Sequence[Tensor | None], layer: int, kept: int, common: bool
) -> tuple[Cut, ...]:
    template_tokens = streams[0].branch.config.template_tokens
    if not common:
        cuts = []
        for stream, row in zip(streams, rows, strict=True):
            assert row is not None
            cuts.append(_decide(search_scores(row, template_tokens), stream.index, layer, kept, (stream,)))
        return tuple(cuts)
    votes = [
        part
        for stream, row in zip(streams, rows, strict=True)
        if row is not None
        for part in stream.per_modality(row)
    ]
    index = streams[0].index
    if index is not None:
        index = streams[0].per_modality(index)[0]
    scores = search_scores(mutual_rows(votes), template_tokens)
    return (_decide(scores, index, layer, kept, streams),)


def _decide(scores: Tensor, index: Tensor | None, layer: int, kept: int, streams: Sequence[Stream]) -> Cut:
    positions = scores.topk(kept, dim=1).indices
    for stream in streams:
        stream.cut(positions)
    if index is None:
        index = torch.arange(scores.shape[1], device=scores.device).expand_as(scores)
    return Cut(layer, index, scores, index.gather(1, positions))
