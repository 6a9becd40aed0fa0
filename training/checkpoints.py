"""Reading and writing checkpoints: strictly by key, and without ever running what a file carries.

A checkpoint is a pickle, and a pickle can call any function. Here it may build tensors, numbers, text and
containers; everything else it names (settings and statistics of other training frameworks, or an attack)
becomes an inert placeholder.
"""

from __future__ import annotations

import os
import pickle
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import torch
import torch._utils
from torch import Tensor, nn

from edge_rgbt.errors import UsageError
from edge_rgbt.files import atomic_path
from training.models.ckd import CkdConfig, CkdTracker
from training.models.elimination import EliminationConfig

WRAPPERS = ("net", "model", "state_dict", "model_state_dict", "network")
TRAINING_PREFIXES = ("teacher_rgb.", "teacher_tir.", "box_head_v.", "box_head_i.")
NAMED_AT_MOST = 4

C = TypeVar("C")
M = TypeVar("M", bound=nn.Module)


class CheckpointError(UsageError):
    """A checkpoint is missing, damaged or not for this network."""


class Placeholder:
    """Stands where a checkpoint holds an object of an unknown class; takes anything, does nothing."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        """Any arguments the pickle gives."""

    def __setstate__(self, _state: Any) -> None:
        """Any state the pickle gives."""

    def __setitem__(self, _key: Any, _value: Any) -> None:
        """Items of an unknown mapping."""

    def append(self, _item: Any) -> None:
        """Items of an unknown list."""

    def extend(self, _items: Any) -> None:
        """Items of an unknown list."""

    def add(self, _item: Any) -> None:
        """Items of an unknown set."""


class _Allowed:
    """A function that a pickle may call and cannot alter."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, _state: Any) -> None:
        raise pickle.UnpicklingError("the file tries to alter a function")


def _plain_tensor(data: Tensor, *_rest: Any) -> Tensor:
    return data.detach()


_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _Allowed(torch._utils._rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _Allowed(torch._utils._rebuild_tensor_v2),
    ("torch._utils", "_rebuild_parameter"): _Allowed(_plain_tensor),
    ("torch._utils", "_rebuild_parameter_with_state"): _Allowed(_plain_tensor),
    ("torch", "Size"): torch.Size,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "complex"): complex,
}


class _InertUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = _ALLOWED.get((module, name))
        if found is not None:
            return found
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        return type(name.rsplit(".", 1)[-1] or "Unknown", (Placeholder,), {"__module__": module})


def _inert_load(file: Any, **kwargs: Any) -> Any:
    return _InertUnpickler(file, **kwargs).load()


# What torch.load asks of a pickle module.
_inert_pickle = SimpleNamespace(
    __name__="inert_pickle",
    Unpickler=_InertUnpickler,
    load=_inert_load,
    UnpicklingError=pickle.UnpicklingError,
)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """state: key -> tensor, without wrapper and `module.` prefix. extras: what stood beside the weights."""

    path: Path
    state: dict[str, Tensor]
    extras: dict[str, Any]


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Reads a file of torch.save, zip or older format, on the CPU. Raises CheckpointError, one line."""
    path = Path(path)
    content = _unpickle(path)
    extras: dict[str, Any] = {}
    while isinstance(content, Mapping):
        wrapper = next((name for name in WRAPPERS if isinstance(content.get(name), Mapping)), None)
        if wrapper is None:
            break
        extras |= {str(key): value for key, value in content.items() if key != wrapper}
        content = content[wrapper]
    if not isinstance(content, Mapping) or not any(isinstance(v, Tensor) for v in content.values()):
        raise CheckpointError(
            f"{path} holds no weights: no mapping of names to tensors, bare or under {', '.join(WRAPPERS)}"
        )
    strays = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if strays:
        raise CheckpointError(f"{path} mixes weights with other things: {_name_some(strays)} are no tensors")
    return Checkpoint(path, {_without_module(str(key)): value for key, value in content.items()}, extras)


def save_checkpoint(path: Path | str, state: Mapping[str, Tensor], **extras: Any) -> None:
    """Writes weights under `net` and plain extras (config dictionary, epoch, optimiser state) beside them.

    The file is on the disk before it takes its name, so even a power cut leaves it whole or not there. Raises
    EdgeRgbtError, one line, when the disk refuses; what had the name before stays.
    """
    with atomic_path(path) as part, part.open("wb") as file:
        try:
            torch.save({"net": dict(state), **extras}, file)
        except RuntimeError as error:  # PyTorch's writer hides the system's reason behind its own
            raise OSError(_system_reason(error)) from error
        file.flush()
        os.fsync(file.fileno())


def _system_reason(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error).splitlines()[0]


def load_strictly(
    module: nn.Module, state: Mapping[str, Tensor], where: str, ignore: Sequence[str] = ()
) -> None:
    """Copies weights into a module; keys starting with one of `ignore` may be there and are skipped.

    Raises CheckpointError that names missing, unexpected and misshapen keys; then nothing was copied.
    """
    wanted = module.state_dict()
    given = {k: v for k, v in state.items() if k in wanted or not k.startswith(tuple(ignore))}
    faults = key_faults({key: tuple(value.shape) for key, value in wanted.items()}, given)
    if faults:
        hint = _layout_hint(state)
        raise CheckpointError(f"{where} does not fit this network: {faults}{'; ' + hint if hint else ''}")
    module.load_state_dict(dict(given), strict=True)


def key_faults(wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, Tensor]) -> str:
    """What is wrong with the keys, in one line; empty if nothing is."""
    missing = [key for key in wanted if key not in given]
    unexpected = [key for key in given if key not in wanted]
    misshapen = [
        f"{key} is {list(value.shape)}, expected {list(wanted[key])}"
        for key, value in given.items()
        if key in wanted and tuple(value.shape) != tuple(wanted[key])
    ]
    kinds = (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
    return "; ".join(f"{len(keys)} {kind}: {_name_some(keys)}" for kind, keys in kinds if keys)


def load_tracker(path: Path | str, elimination: str | None = None) -> tuple[CkdTracker, Checkpoint]:
    """The test-time CKD network from a checkpoint of ours (it carries its sizes) or in the official layout.

    elimination: none, ce or mce instead of what the checkpoint says (the official layout: none).
    """
    checkpoint = read_checkpoint(path)
    require_family(checkpoint, "ckd")
    config = stored_config(checkpoint, CkdConfig.from_dict)
    if elimination is not None:
        parts = config.to_dict()
        try:
            parts["elimination"]["mode"] = EliminationConfig(mode=elimination).mode  # type: ignore[arg-type]
            config = CkdConfig.from_dict(parts)
        except ValueError as error:
            raise CheckpointError(f"{path}: {error}") from None
    return filled(CkdTracker, config, checkpoint, ignore=TRAINING_PREFIXES), checkpoint


def require_family(checkpoint: Checkpoint, family: str) -> None:
    """Raises CheckpointError if the checkpoint names another family; published ones name none."""
    found = checkpoint.extras.get("family", family)
    if found != family:
        raise CheckpointError(f"{checkpoint.path} is a checkpoint of family {found!r}, not {family}")


def stored_config(checkpoint: Checkpoint, parse: Callable[[Mapping[str, Any]], C]) -> C:
    """The configuration that a checkpoint carries, read by `parse`, which gets {} where there is none.

    Raises CheckpointError, one line, if `parse` refuses it.
    """
    stored = checkpoint.extras.get("config")
    try:
        return parse(stored if isinstance(stored, Mapping) else {})
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{checkpoint.path}: its stored configuration is not ours ({error})") from None


def filled(kind: Callable[[C], M], config: C, checkpoint: Checkpoint, ignore: Sequence[str] = ()) -> M:
    """A network of this kind with the checkpoint's weights, for evaluation; see `load_strictly`.

    Made without weights of its own first, which for large networks would take longer than reading them.
    """
    with torch.device("meta"):
        network = kind(config)
    network.to_empty(device="cpu")
    load_strictly(network, checkpoint.state, str(checkpoint.path), ignore)
    return network.eval()


def _unpickle(path: Path) -> Any:
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path} does not exist; give the file that training wrote")
    try:
        zipped = zipfile.is_zipfile(path)
        if zipped:
            with zipfile.ZipFile(path) as archive:
                if any(name.endswith("constants.pkl") for name in archive.namelist()):
                    raise CheckpointError(f"{path} is a TorchScript program; give the checkpoint itself")
        elif tarfile.is_tarfile(path):
            raise CheckpointError(f"{path} is a tar archive; unpack it and give the checkpoint inside")
        return torch.load(
            path,
            map_location="cpu",
            pickle_module=_inert_pickle,
            weights_only=False,
            mmap=True if zipped else None,
        )
    except CheckpointError:
        raise
    except Exception as error:  # a damaged or hostile pickle can fail in any way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise CheckpointError(
            f"{path} is not a whole PyTorch checkpoint ({reason}); copy or download it again"
        ) from None


def _without_module(key: str) -> str:
    return key.removeprefix("module.")


def _name_some(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:NAMED_AT_MOST])
    return shown if len(keys) <= NAMED_AT_MOST else f"{shown} and {len(keys) - NAMED_AT_MOST} more"


def _layout_hint(state: Mapping[str, Tensor]) -> str:
    if any(key.startswith("backbone.") for key in state):
        return "it looks like a single-modality tracker (OSTrack, DropTrack), a start for training only"
    if any(key.startswith(("blocks.", "decoder")) for key in state):
        return "it looks like ViT pre-training (MAE, DropMAE), a start for training only"
    return ""
