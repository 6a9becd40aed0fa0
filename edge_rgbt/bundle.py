"""Model bundles: a folder, or an uncompressed `.rgbt` zip of it, with all a runtime needs and no code."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edge_rgbt.adapter.weights import ADAPTER_FILE, AdapterWeights, read_adapter
from edge_rgbt.errors import BundleError
from edge_rgbt.files import atomic_path
from edge_rgbt.manifest import (
    RESERVED_FILES,
    BundleFile,
    ConfidenceCurve,
    DynamicTemplate,
    Manifest,
    TrackerSettings,
    fused_inputs,
    map_outputs,
    parse_manifest,
    raw_pixel_inputs,
)

__all__ = [
    "Bundle",
    "BundleFile",
    "ConfidenceCurve",
    "DynamicTemplate",
    "Manifest",
    "TrackerSettings",
    "describe",
    "fused_inputs",
    "load_bundle",
    "map_outputs",
    "raw_pixel_inputs",
    "write_bundle",
]

MANIFEST = "manifest.json"
SHIPPED_FOLDER = Path(__file__).parent / "models"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files were all there and whole when it was loaded."""

    path: Path
    manifest: Manifest

    def read_bytes(self, name: str) -> bytes:
        """Contents of one file of the bundle. Raises BundleError if the bundle has no such file."""
        self._entry(name)
        with _open_member(self.path, name) as stream:
            return stream.read()

    def file(self, name: str) -> Path:
        """A path on disk holding this file; from a zip it is unpacked once into the user's cache folder."""
        entry = self._entry(name)
        if self.path.is_dir():
            return self.path / name
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        unpacked = Path(base) / "edge-rgbt" / entry.sha256 / name
        if not (unpacked.is_file() and _digest(unpacked.open("rb"))[0] == entry.sha256):
            with atomic_path(unpacked) as part, part.open("wb") as out:
                out.write(self.read_bytes(name))
        return unpacked

    def adapter(self) -> AdapterWeights | None:
        """The pixel-fusion adapter of a TPF bundle, None for the other families.

        Raises BundleError if the bundle has none, or one that does not fit.
        """
        m = self.manifest
        if m.family != "tpf":
            return None
        where = f"{self.path}/{ADAPTER_FILE}"
        weights = read_adapter(self.read_bytes(ADAPTER_FILE), where)
        stride = weights.variant.stride
        if m.template_size % stride or m.search_size % stride:
            raise BundleError(
                f"{where} is the variant '{weights.name}', for crops of a multiple of {stride} pixels, not "
                f"{m.template_size} and {m.search_size}; export the bundle again"
            )
        return weights

    def _entry(self, name: str) -> BundleFile:
        entry = self.manifest.files.get(name)
        if entry is None:
            held = ", ".join(self.manifest.files)
            raise BundleError(f"bundle {self.path} holds no {name} (it holds {held}); export it again")
        return entry


def load_bundle(path: Path | str | None = None) -> Bundle:
    """Opens a bundle and checks its manifest and the hash of every file; None means the shipped one.

    Raises BundleError, one line, if it is missing, truncated, changed or not for this version.
    """
    where = _shipped() if path is None else Path(path)
    if not where.exists():
        raise BundleError(f"bundle {where} does not exist; give a folder or an .rgbt file that holds one")
    try:
        with _open_member(where, MANIFEST) as stream:
            value = json.loads(stream.read())
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}/{MANIFEST} is not JSON ({error}); export the bundle again") from None
    manifest = parse_manifest(value, f"{where}/{MANIFEST}")
    for name, entry in manifest.files.items():
        _verify(where, name, entry)
    bundle = Bundle(where, manifest)
    bundle.adapter()  # refuses one that does not fit
    return bundle


def write_bundle(path: Path | str, manifest: Manifest, files: Mapping[str, bytes | Path]) -> Bundle:
    """Writes a whole bundle or none, then loads it back; a name ending in .rgbt becomes a zip.

    The manifest's `files` are computed here from `files` (name -> contents, or where to copy them from).
    """
    final = Path(path)
    for name in files:
        if name in RESERVED_FILES or Path(name).name != name:
            raise BundleError(f"a bundle cannot hold a file named '{name}'")
    entries = {}
    for name, source in files.items():
        entries[name] = BundleFile(
            *_digest(io.BytesIO(source) if isinstance(source, bytes) else source.open("rb"))
        )
    complete = dataclasses.replace(manifest, files=entries)
    text = json.dumps(complete.to_dict(), indent=2, allow_nan=False) + "\n"
    parse_manifest(json.loads(text), f"{final}/{MANIFEST}")
    with atomic_path(final) as part:
        if final.suffix == ".rgbt":
            with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
                _write_members(lambda name: archive.open(name, "w", force_zip64=True), text, files)
        else:
            part.mkdir()
            _write_members(lambda name: (part / name).open("wb"), text, files)
    return load_bundle(final)


def describe(bundle: Bundle) -> str:
    """A few lines for a person: what the network is, what it was trained on, how good it was measured."""
    m = bundle.manifest
    size_mb = sum(entry.bytes for entry in m.files.values()) / 1e6
    lines = [
        f"{m.name} {m.version} ({m.family}, {m.precision}), {size_mb:.1f} MB, {bundle.path}",
        f"  template {m.template_size} px (x{m.template_factor:g}), search {m.search_size} px "
        f"(x{m.search_factor:g}), stride {m.stride}",
        f"  {m.params / 1e6:.2f} M parameters, {m.macs / 1e9:.2f} G multiply-accumulates",
        f"  licence: {m.licence}",
    ]
    lines += [f"  {key}: {_one_line(value)}" for key, value in m.provenance.items()]
    if m.metrics:
        lines.append(f"  metrics: {_one_line(m.metrics)}")
    return "\n".join(lines)


def _one_line(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _shipped() -> Path:
    found = sorted(
        {p.parent for p in SHIPPED_FOLDER.glob(f"*/{MANIFEST}")} | {*SHIPPED_FOLDER.glob("*.rgbt")}
    )
    if (SHIPPED_FOLDER / MANIFEST).is_file():
        found.append(SHIPPED_FOLDER)
    if len(found) != 1:
        raise BundleError(
            f"{SHIPPED_FOLDER} holds {len(found)} bundles, expected the shipped one; choose with --bundle"
        )
    return found[0]


def _open_member(where: Path, name: str) -> IO[bytes]:
    """A file of the bundle for reading, from the folder or out of the zip."""
    try:
        if where.is_dir():
            return (where / name).open("rb")
        archive = zipfile.ZipFile(where)
        info = archive.getinfo(_member_path(archive, name))
        if info.compress_type != zipfile.ZIP_STORED:
            raise BundleError(f"{name} in {where} is compressed; pack the folder again with `zip -0`")
        return archive.open(info)
    except (FileNotFoundError, KeyError):
        raise BundleError(f"{where} lacks {name}; copy the whole bundle or export it again") from None
    except zipfile.BadZipFile:
        raise BundleError(f"{where} is no whole zip archive; copy it again or export it again") from None
    except OSError as error:
        raise BundleError(f"cannot read {name} in {where}: {error.strerror or error}") from error


def _member_path(archive: zipfile.ZipFile, name: str) -> str:
    """Name inside the archive, where the bundle lies at the top or in the only folder."""
    tops = {entry.split("/", 1)[0] for entry in archive.namelist()}
    inside = f"{next(iter(tops))}/{name}" if len(tops) == 1 else name
    return inside if inside in archive.namelist() else name


def _verify(where: Path, name: str, entry: BundleFile) -> None:
    try:
        found, size = _digest(_open_member(where, name))
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise BundleError(f"{name} in {where} cannot be read ({error}); copy the bundle again") from None
    if size != entry.bytes:
        raise BundleError(
            f"{name} in {where} has {size} bytes, expected {entry.bytes}; copy the bundle again"
            + (", it was cut off" if size < entry.bytes else "")
        )
    if found != entry.sha256:
        raise BundleError(
            f"{name} in {where} has SHA-256 {found[:12]}…, the manifest says {entry.sha256[:12]}…; "
            "it was changed or damaged: copy the bundle again"
        )


def _digest(stream: IO[bytes]) -> tuple[str, int]:
    """SHA-256 and length of a whole stream, which is closed."""
    digest, length = hashlib.sha256(), 0
    with stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            length += len(chunk)
    return digest.hexdigest(), length


def _write_members(
    create: Callable[[str], IO[bytes]], manifest_text: str, files: Mapping[str, bytes | Path]
) -> None:
    with create(MANIFEST) as out:
        out.write(manifest_text.encode())
    for name, source in files.items():
        with create(name) as out:
            if isinstance(source, bytes):
                out.write(source)
                continue
            with source.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    out.write(chunk)
