"""The task loss of all three systems: centre heatmap, generalised overlap and corner distance.

Boxes are fractions of the search crop. Formulas and constants are those of the OSTrack family's code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

HEATMAP_OVERLAP = 0.7  # minimum overlap that sets the radius of the Gaussian


def corners_from_xywh(boxes: Tensor) -> Tensor:
    """`[..., 4]` left, top, width, height to left, top, right, bottom."""
    return torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], dim=-1)


def corners_from_cxcywh(boxes: Tensor) -> Tensor:
    """`[..., 4]` centre and size to left, top, right, bottom."""
    half = boxes[..., 2:] / 2
    return torch.cat([boxes[..., :2] - half, boxes[..., :2] + half], dim=-1)


def box_area(corners: Tensor) -> Tensor:
    """`[B, 4]` corners to `[B]` areas."""
    return (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])


def overlap_terms(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and union of two sets of corner boxes, `[B, 4]` each, box by box."""
    top_left = torch.maximum(a[:, :2], b[:, :2])
    bottom_right = torch.minimum(a[:, 2:], b[:, 2:])
    sides = (bottom_right - top_left).clamp(min=0)
    intersection = sides[:, 0] * sides[:, 1]
    union = box_area(a) + box_area(b) - intersection
    return intersection / union, union


def giou_loss(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of 1 - GIoU, and the IoU of each pair; `[B, 4]` corners. A negative size makes the loss 0."""
    if not bool((predicted[:, 2:] >= predicted[:, :2]).all()):
        zeros = torch.zeros(len(predicted), dtype=predicted.dtype, device=predicted.device)
        return zeros.sum(), zeros
    iou, union = overlap_terms(predicted, target)
    enclosing = torch.cat(
        [torch.minimum(predicted[:, :2], target[:, :2]), torch.maximum(predicted[:, 2:], target[:, 2:])],
        dim=1,
    )
    enclosing_area = box_area(enclosing)
    giou = iou - (enclosing_area - union) / enclosing_area
    return (1 - giou).mean(), iou


def l1_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of corner coordinates."""
    return (predicted - target).abs().mean()


def heatmap_radius(width: np.ndarray, height: np.ndarray, overlap: float = HEATMAP_OVERLAP) -> np.ndarray:
    """Radius in cells before the integer part is taken, by CornerNet's historical formulas."""
    total, area = width + height, width * height
    r1 = (total + np.sqrt(total**2 - 4 * area * (1 - overlap) / (1 + overlap))) / 2
    r2 = (2 * total + np.sqrt(4 * total**2 - 16 * (1 - overlap) * area)) / 2
    inner = 4 * overlap**2 * total**2 - 16 * overlap * (overlap - 1) * area
    r3 = (-2 * overlap * total + np.sqrt(inner)) / 2
    return np.maximum(0, np.minimum(np.minimum(r1, r2), r3))


def gaussian_heatmaps(boxes_xywh: np.ndarray, grid: int) -> np.ndarray:
    """Target score maps `[B, grid, grid]` float32 for boxes `[B, 4]`; the centre cell is exactly 1.

    A box whose rounded centre falls outside the grid leaves no cell at 1.
    """
    boxes = np.asarray(boxes_xywh, dtype=np.float64) * grid
    centres = np.rint(boxes[:, :2] + boxes[:, 2:] / 2)  # rint: halves go to the even cell
    radii = heatmap_radius(boxes[:, 2], boxes[:, 3]).astype(np.int64)
    axis = np.arange(grid)
    dx = axis[None, None, :] - centres[:, 0, None, None]
    dy = axis[None, :, None] - centres[:, 1, None, None]
    radius = radii[:, None, None]
    sigma = (2 * radius + 1) / 6
    maps = np.exp(-(dx**2 + dy**2) / (2 * sigma**2))
    maps[(np.abs(dx) > radius) | (np.abs(dy) > radius)] = 0
    return maps.astype(np.float32)


def focal_loss(score: Tensor, heatmap: Tensor, centres: float | None = None) -> Tensor:
    """CornerNet's focal loss of score maps against target maps, normalised over the batch.

    centres: what to divide by instead of this batch's own centre cells, where it is part of a larger one.
    """
    p = score.clamp(min=1e-12)
    is_centre = heatmap == 1
    positive = (torch.log(p) * (1 - p) ** 2)[is_centre].sum()
    negative = (torch.log(1 - p) * p**2 * (1 - heatmap) ** 4)[~is_centre].sum()
    if centres is not None:
        return -(positive + negative) / centres
    count = is_centre.sum()
    return -negative if count == 0 else -(positive + negative) / count


@dataclass(frozen=True)
class TaskLoss:
    """Weighted sum and its parts for one head; `iou` is the mean overlap of the decoded boxes."""

    total: Tensor
    giou: Tensor
    l1: Tensor
    focal: Tensor
    iou: Tensor


def task_loss(
    score: Tensor,
    boxes_cxcywh: Tensor,
    target_xywh: Tensor,
    heatmap: Tensor,
    centres: float | None = None,
) -> TaskLoss:
    """2 GIoU + 5 L1 + focal for one head: score and heatmap `[B, 1, S, S]`, boxes `[B, 4]` in fractions.

    centres: see `focal_loss`.
    """
    target = corners_from_xywh(target_xywh).clamp(0, 1)
    predicted = corners_from_cxcywh(boxes_cxcywh)
    giou, iou = giou_loss(predicted, target)
    l1 = l1_loss(predicted, target)
    focal = focal_loss(score, heatmap, centres)
    return TaskLoss(2 * giou + 5 * l1 + focal, giou, l1, focal, iou.mean())
