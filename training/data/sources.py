"""From a recipe's `[data]` table to weighted sources and the streams of batches that they feed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_rgbt.errors import UsageError
from edge_rgbt.replay.layouts import IMAGE_LAYOUTS
from training.data.augmentation import choose_augmentation
from training.data.image_pairs import load_image_pairs
from training.data.loader import BatchStream, WeightedSources
from training.data.packed import SEQUENCES, PackedTrack, is_pack, open_pack
from training.data.samples import CropSizes
from training.data.sampling import is_usable
from training.data.settings import DataSettings, SourceSettings
from training.data.simulated_flights import SimulatedFlights, open_flights
from training.data.synthetic_motion import SyntheticMotion
from training.data.tracking_datasets import Track, TrackedSequences, read_tracks


@dataclass(frozen=True)
class OpenedSources:
    """What to train on and, from other pictures, flights and sequences, what to validate on."""

    training: WeightedSources
    held_out: WeightedSources

    def skipped(self) -> list[str]:
        """Frames that this process and its workers could not read since this was last asked, with path."""
        return [
            frame
            for source, _ in self.training + self.held_out
            if isinstance(source, (TrackedSequences, SimulatedFlights))
            for frame in source.skipped.news()
        ]


def open_sources(data: DataSettings, sizes: CropSizes) -> OpenedSources:
    """Opens and checks every source before the run starts. Raises UsageError naming a broken one."""
    opened = OpenedSources([], [])
    if data.pairs:
        bank = load_image_pairs(data.pairs)
        kept = max(1, len(bank) // data.held_out)
        held = bank[:: data.held_out][:kept]
        rest = [pair for i, pair in enumerate(bank) if i % data.held_out]
        opened.training.append((SyntheticMotion(rest, sizes, data.motion), data.pairs_weight))
        opened.held_out.append((SyntheticMotion(held, sizes, data.motion), data.pairs_weight))
    if data.flights:
        train_flights, held_flights = open_flights(data.flights, sizes, data.held_out, data.dynamic_template)
        opened.training.append((train_flights, data.flights_weight))
        opened.held_out.append((held_flights, data.flights_weight))
    for name, source in data.sources.items():
        train, held = _open_tracks(f"data.sources.{name}", name, source, data.held_out)
        for tracks, sources in ((train, opened.training), (held, opened.held_out)):
            try:
                sequences = TrackedSequences(tracks, sizes, data.dynamic_template)
            except UsageError as error:
                raise UsageError(f"data.sources.{name}: {source.path}: {error}") from error
            sources.append((sequences, source.weight))
    if not opened.training:
        raise UsageError("the recipe names no data; set data.pairs, data.flights or data.sources")
    return opened


def training_stream(opened: OpenedSources, data: DataSettings, batch: int, seed: int) -> BatchStream:
    """Batches to train on, augmented as the recipe says."""
    return _stream(opened.training, data, batch, seed, validating=False)


def validation_stream(opened: OpenedSources, data: DataSettings, batch: int, seed: int) -> BatchStream:
    """Batches of held-out samples."""
    return _stream(opened.held_out, data, batch, seed, validating=True)


def _stream(
    sources: WeightedSources, data: DataSettings, batch: int, seed: int, validating: bool
) -> BatchStream:
    return BatchStream(
        sources,
        batch,
        seed,
        augmentation=choose_augmentation(data.augmentation, validating),
        dynamic=data.dynamic_template,
        template_dimming=data.template_dimming,
    )


def _open_tracks(
    where: str, name: str, source: SourceSettings, held_out: int
) -> tuple[list[Track], list[Track]]:
    """Tracks to train on and to validate on."""
    if is_pack(Path(source.path)):
        tracks: list[Track] = list(_packed_tracks(where, source))
    else:
        layout = _layout(where, name, source)
        tracks = list(read_tracks(where, source, layout, source.split))
        if source.validation_split:
            return tracks, list(read_tracks(where, source, layout, source.validation_split))
    usable = [track for track in tracks if is_usable(track.visible)]
    rest = [track for i, track in enumerate(usable) if i % held_out]
    return rest or usable, usable[::held_out]


def _layout(where: str, name: str, source: SourceSettings) -> str:
    layout = source.layout or name
    if layout not in IMAGE_LAYOUTS:
        known = ", ".join(IMAGE_LAYOUTS)
        raise UsageError(f"{where}: which layout? set layout, or name the table after it; known: {known}")
    return layout


def _packed_tracks(where: str, source: SourceSettings) -> list[PackedTrack]:
    """Raises UsageError where the recipe asks for what was, or was not, done when packing."""
    try:
        pack = open_pack(Path(source.path), SEQUENCES)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    made = pack.about["settings"]
    asked = {"layout": source.layout, "split": source.split, "interpolate": source.interpolate}
    for key, value in asked.items():
        if value and value != made[key]:
            raise UsageError(f"{where}: {key} is {value!r} but {source.path} was packed with {made[key]!r}")
    if source.validation_split:
        raise UsageError(f"{where}: a pack holds one split; leave validation_split out or give the folders")
    return [PackedTrack(pack, shard) for shard in pack.shards if shard.name not in source.exclude]
