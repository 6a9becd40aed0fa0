"""One simulated flight: a world, two cameras on a drone, and the truth about what they see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from edge_rgbt.errors import UsageError
from edge_rgbt.sim.camera_model import Intrinsics, View, rotation, small_rotation
from edge_rgbt.sim.conditions import Conditions, make_conditions
from edge_rgbt.sim.drone import Drone, FlightPlan, Pose, make_plan
from edge_rgbt.sim.ground import GroundMap
from edge_rgbt.sim.items import FaceItem, Item
from edge_rgbt.sim.layout import Layout, make_layout
from edge_rgbt.sim.noise import generator
from edge_rgbt.sim.objects import KINDS, PERSON_KINDS, SIZES, Mover
from edge_rgbt.sim.population import choose_target_kind, populate
from edge_rgbt.sim.render_rgb import RgbRenderer
from edge_rgbt.sim.render_tir import TirRenderer
from edge_rgbt.sim.scene import Scene
from edge_rgbt.sim.surfaces import add_grain, colour_map, lamp_light, temperature_map
from edge_rgbt.sim.terrain import paint_ground
from edge_rgbt.sim.trees import TreeBank
from edge_rgbt.sim.truth import Truth, clipped, visibility
from edge_rgbt.types import Box, Modality

TIR_BASELINE_M = 0.04  # the thermal lens sits this far to the right of the visible one


@dataclass(frozen=True)
class World:
    """What stays: plan, conditions, objects, maps. Shared by all cameras."""

    seed: int
    layout: Layout
    conditions: Conditions
    movers: list[Mover]
    target_id: int
    scene: Scene
    trees: TreeBank
    ground_rgb: GroundMap
    ground_heat: GroundMap


@dataclass(frozen=True)
class Rig:
    """The two cameras: intrinsics, and the thermal one's turn against the visible one (radians, own axes)."""

    rgb: Intrinsics
    tir: Intrinsics
    mount_rad: tuple[float, float, float]
    nominal_error_rad: tuple[float, float, float]
    tir_exposure_s: float

    @cached_property
    def mount(self) -> np.ndarray:
        """The turn as a rotation `[3, 3]`."""
        return small_rotation(*self.mount_rad)


class PoseSource(Protocol):
    """Where a vehicle and its gimbal are at a time of the flight, in nanoseconds."""

    def pose(self, t_ns: int) -> Pose: ...


def make_world(
    seed: int,
    preset: str | None,
    seconds: float,
    target_kind: str | None = None,
    course: Callable[[Mover], np.ndarray] | None = None,
) -> World:
    """Builds the world of a seed. Raises UsageError for an unknown preset or kind.

    course: gives the target another track than its own, with as many rows (see Mover).
    """
    if target_kind is not None and target_kind not in KINDS:
        raise UsageError(f"unknown target kind {target_kind!r}: choose one of {', '.join(KINDS)}")
    conditions = make_conditions(seed, preset)
    layout = make_layout(seed)
    movers, target = populate(seed, layout, seconds, target_kind or choose_target_kind(seed))
    if course is not None:
        movers[target] = replace(movers[target], track=course(movers[target]))
    materials, paint = paint_ground(layout, seed)
    index = add_grain(materials, layout, seed)
    scene = Scene(layout, movers, conditions, lamp_light(layout), seed)
    return World(
        seed, layout, conditions, movers, target, scene,
        TreeBank(seed, np.array(conditions.light) * (1.25 if conditions.lamps else 1.0), conditions.sun),
        GroundMap(colour_map(index, paint, layout, conditions, seed), levels=9, bands=6),
        GroundMap(temperature_map(index, paint, layout, conditions, seed), levels=7, bands=4),
    )  # fmt: skip


class Scenario:
    """A flight that can be seen at any time: images, truth and pose are pure functions of the time and, in
    `steering="tracker"`, of the boxes given to `observe` before it.

    Times are nanoseconds since the start of the flight; the cameras' own clocks live in SyntheticCamera.
    """

    def __init__(self, world: World, rig: Rig, plan: FlightPlan, seconds: float, steering: str) -> None:
        self.world, self.rig, self.seconds, self.steering = world, rig, seconds, steering
        self.seed = world.seed
        self.conditions = world.conditions
        self._held: dict[Modality, tuple[tuple[int, bytes, bytes], list[Item]]] = {}
        self.drone = self._take_off(plan)
        self._poses: PoseSource = self.drone
        self._rgb = RgbRenderer(world.scene, world.ground_rgb, world.trees, rig.rgb, world.seed)
        self._tir = TirRenderer(world.scene, world.ground_heat, world.trees, rig.tir, world.seed)

    def _take_off(self, plan: FlightPlan) -> Drone:
        """The drone at the start; from another side where trees or walls would hide the target at first."""
        target = self.world.movers[self.world.target_id]
        row = target.at(0.0)
        start = np.array([row[0], row[1], row[3] * np.cos(row[2]), row[3] * np.sin(row[2])])
        measure = (lambda t_s: target.at(t_s)[:2]) if self.steering == "truth" else None
        seen: list[tuple[float, Drone]] = []
        for turn in range(0, 360, 40):
            turned = replace(plan, bearing_deg=plan.bearing_deg + turn)
            drone = self._poses = Drone(turned, self.seed, start, measure)
            seen.append((self.truth(0, Modality.RGB).visibility, drone))
            if seen[-1][0] > 0.9:
                break
        return max(seen, key=lambda pair: pair[0])[1]

    @property
    def duration_ns(self) -> int:
        return int(self.seconds * 1e9)

    def pose(self, t_ns: int) -> Pose:
        """Vehicle position (metres, and latitude, longitude, altitude) and attitude, and the camera's."""
        return self._poses.pose(t_ns)

    def fly_by(self, poses: PoseSource) -> None:
        """From now on the cameras are where these poses say, and the drone of the flight flies unseen."""
        self._poses = poses

    def observe(self, box_xywh: Box | tuple[float, float, float, float] | None, t_ns: int) -> None:
        """Closed loop: tells the drone where the tracker saw the target in the RGB image taken at `t_ns`.

        The box's middle is traced to the ground with the drone's own pose; None = not seen (the drone coasts
        and slows down). Call it once per pair, in order of time. Only with `steering="tracker"`.
        """
        if self.steering != "tracker":
            raise UsageError(
                'observe needs make_scenario(..., steering="tracker"); this flight follows the truth'
            )
        spot = None
        if box_xywh is not None:
            x, y, w, h = box_xywh.as_tuple() if isinstance(box_xywh, Box) else box_xywh
            spot = self.view(t_ns, Modality.RGB).ground_point(x + w / 2 - 0.5, y + h / 2 - 0.5)
        self.drone.observe(spot, t_ns / 1e9)

    def view(self, t_ns: int, modality: Modality) -> View:
        """Position, attitude and intrinsics of one camera at a time."""
        pose = self.pose(t_ns)
        turn = rotation(pose.camera_yaw_deg, pose.camera_pitch_deg, pose.camera_roll_deg)
        position = np.array(pose.position)
        if modality is Modality.RGB:
            return View(self.rig.rgb, position, turn)
        return View(self.rig.tir, position + turn[0] * TIR_BASELINE_M, self.rig.mount @ turn)

    def nominal_registration(self) -> np.ndarray:
        """Homography `[3, 3]` thermal px -> RGB px as a calibration would give it: right for far ground,
        but for the rig's residual error."""
        turn = small_rotation(*self.rig.nominal_error_rad) @ self.rig.mount
        matrix = self.rig.rgb.matrix @ turn.T @ np.linalg.inv(self.rig.tir.matrix)
        return matrix / matrix[2, 2]

    def render_rgb(self, t_ns: int, hide: frozenset[int] = frozenset()) -> np.ndarray:
        """The visible image, uint8 RGB `[H, W, 3]`. hide: ids of objects to leave out."""
        view = self.view(t_ns, Modality.RGB)
        items = self._items(view, t_ns, Modality.RGB, hide)
        ground_blur, target_blur = self._blurs(t_ns, self.conditions.exposure_s, Modality.RGB)
        image = self._rgb.scene_image(view, t_ns / 1e9, items, ground_blur - target_blur)
        return self._rgb.finish(image, view, t_ns, target_blur)

    def render_tir(self, t_ns: int, hide: frozenset[int] = frozenset()) -> np.ndarray:
        """The thermal image, uint16 raw counts `[H, W]`. hide: ids of objects to leave out."""
        view = self.view(t_ns, Modality.TIR)
        items = self._items(view, t_ns, Modality.TIR, hide)
        _, target_blur = self._blurs(t_ns, self.rig.tir_exposure_s, Modality.TIR)
        return self._tir.finish(self._tir.scene_image(view, items), t_ns, target_blur)

    def _items(
        self, view: View, t_ns: int, modality: Modality, hide: frozenset[int] = frozenset()
    ) -> list[Item]:
        """What a camera has in view. The last answer is held: the truth is asked right after the image."""
        if hide:
            return self.world.scene.items(view, t_ns / 1e9, hide, marks=modality is Modality.RGB)
        key = (t_ns, view.position.tobytes(), view.rotation.tobytes())
        held = self._held.get(modality)
        if held is None or held[0] != key:
            held = (key, self.world.scene.items(view, t_ns / 1e9, marks=modality is Modality.RGB))
            self._held[modality] = held
        return held[1]

    def _blurs(self, t_ns: int, exposure_s: float, modality: Modality) -> tuple[np.ndarray, np.ndarray]:
        """Moves in pixels `[2]` of the ground at the target, and of the target, while the shutter is open."""
        half = int(exposure_s * 0.5e9)
        target = self.world.movers[self.world.target_id]
        spots = [np.array([*target.at(t / 1e9)[:2], 0.0]) for t in (t_ns - half, t_ns + half)]
        a, b = self.view(t_ns - half, modality), self.view(t_ns + half, modality)
        start, depth = a.project(np.stack([spots[0], spots[0]]))
        end, _ = b.project(np.stack([spots[0], spots[1]]))
        if depth.min() < 3 or np.abs(start).max() > 3000:
            return np.zeros(2), np.zeros(2)
        return end[0] - start[0], end[1] - start[1]

    def object_truths(self, t_ns: int, modality: Modality, parked: bool = True) -> list[Truth]:
        """The truth about every object whose box touches the image (and always the target), target first."""
        view = self.view(t_ns, modality)
        items = self._items(view, t_ns, modality)
        nearest: dict[int, FaceItem] = {}
        for item in items:
            if isinstance(item, FaceItem) and (parked or not item.mover.parked):
                held = nearest.get(item.mover.id)
                if held is None or item.depth < held.depth:
                    nearest[item.mover.id] = item
        target = self.world.target_id
        found = [self._truth(t_ns, modality, view, items, target, nearest.pop(target, None))]
        for key, item in nearest.items():
            truth = self._truth(t_ns, modality, view, items, key, item)
            if truth.box is not None:
                found.append(truth)
        return found

    def truth(self, t_ns: int, modality: Modality) -> Truth:
        """The truth about the target."""
        view = self.view(t_ns, modality)
        items = self._items(view, t_ns, modality)
        target = self.world.target_id
        own = [i for i in items if isinstance(i, FaceItem) and i.mover.id == target]
        item = min(own, key=lambda i: i.depth) if own else None
        return self._truth(t_ns, modality, view, items, target, item)

    def _truth(
        self,
        t_ns: int,
        modality: Modality,
        view: View,
        items: list[Item],
        object_id: int,
        item: FaceItem | None,
    ) -> Truth:
        mover = self.world.movers[object_id]
        row = mover.at(t_ns / 1e9)
        base = row[:2] if item is None else item.base
        box = full = None
        seen = 0.0
        if item is not None:
            bounds = np.array(item.box)
            box = clipped(bounds, view.intrinsics)
            full = Box(*(float(v) for v in (*(bounds[:2] + 0.5), *(bounds[2:] - bounds[:2]))))
            seen = visibility(item, items, view.intrinsics) if box is not None else 0.0
        return Truth(
            object_id, mover.kind, modality, t_ns, box, full, seen, (float(base[0]), float(base[1]), 0.0),
            float(row[3]), float(90 - np.degrees(row[2])) % 360, object_id == self.world.target_id,
            not mover.parked,
        )  # fmt: skip


def _choose_view(
    seed: int, kind: str, rgb_size: tuple[int, int], tir_size: tuple[int, int], residual_px: float
) -> tuple[Rig, float, float]:
    """Cameras, altitude and pitch that show a target of this kind at 14 to 110 pixels."""
    rng = generator(seed, "view")
    length, _, height = SIZES[kind]
    metres = height * 0.9 if kind in PERSON_KINDS else length * 0.8
    low, high = (20, 62) if kind in PERSON_KINDS else (22, 110)
    wanted = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    pitch = float(-rng.uniform(35, 68))
    altitude = float(
        rng.uniform(30, 48) if kind in PERSON_KINDS else np.exp(rng.uniform(np.log(32), np.log(95)))
    )
    reach = altitude / np.sin(np.radians(-pitch))
    focal = wanted * reach / metres
    fov = float(np.clip(np.degrees(2 * np.arctan(rgb_size[0] / 2 / focal)), 20.0, 62.0))
    rgb = Intrinsics.from_fov(*rgb_size, fov)
    tir = Intrinsics.from_fov(*tir_size, float(fov * rng.uniform(0.95, 1.22)))
    # the top of the image stays clear of the horizon
    steepest = -(np.degrees(np.arctan(rgb_size[1] / 2 / rgb.focal_px)) + 13)
    pitch = min(pitch, float(steepest))
    turn_x, turn_y, turn_z = (float(v) for v in rng.normal(0, 1, 3) * np.radians((0.6, 0.6, 0.5)))
    direction = rng.normal(0, 1, 2)
    error = direction / np.linalg.norm(direction) * residual_px / rgb.focal_px
    return Rig(
        rgb, tir, (turn_x, turn_y, turn_z),
        (float(error[0]), float(error[1]), float(rng.normal(0, 0.1) * residual_px / rgb.focal_px)),
        float(rng.uniform(0.004, 0.011)),
    ), altitude, pitch  # fmt: skip


def make_scenario(
    seed: int,
    preset: str | None = None,
    seconds: float = 20.0,
    *,
    rgb_size: tuple[int, int] = (640, 512),
    tir_size: tuple[int, int] = (640, 512),
    target_kind: str | None = None,
    altitude_m: float | None = None,
    pitch_deg: float | None = None,
    residual_px: float = 2.5,
    steering: str = "truth",
    course: Callable[[Mover], np.ndarray] | None = None,
) -> Scenario:
    """One flight; everything not given is chosen by the seed.

    preset: "day", "dusk", "night", "rain" or "crossover". Sizes are (width, height). residual_px: how far
    `nominal_registration` is off in RGB pixels. steering: "truth" (the drone knows where the target is) or
    "tracker" (it knows only what `observe` tells it). course: see `make_world`. Raises UsageError for values
    that cannot be.
    """
    if steering not in ("truth", "tracker"):
        raise UsageError(f'steering is {steering!r}: use "truth" or "tracker"')
    if seconds <= 0 or min(*rgb_size, *tir_size) < 32:
        raise UsageError(
            f"a flight needs a duration and images of at least 32 px, got {seconds} s, {rgb_size}, {tir_size}"
        )
    world = make_world(seed, preset, seconds, target_kind, course)
    kind = world.movers[world.target_id].kind
    rig, altitude, pitch = _choose_view(seed, kind, rgb_size, tir_size, residual_px)
    plan = make_plan(seed, altitude_m or altitude, pitch_deg or pitch)
    return Scenario(world, rig, plan, seconds, steering)
