"""How the target moves over the ground: a Kalman filter of constant velocity (section 8.7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_rgbt.geolocation.intersection import Covariance, largest_sigma
from edge_rgbt.geolocation.settings import Class

GATE = 9.2  # squared Mahalanobis distance: 99 % for two dimensions
REJECTS_FOR_RESET = 3
SETTLED_AFTER_NS = 2_000_000_000
LARGEST_SPEED_SIGMA_MPS = 1.5
ACCELERATION_MPS2: dict[Class, float] = {"person": 1.0, "vehicle": 3.0}
SPEED_MPS: dict[Class, float] = {"person": 2.0, "vehicle": 12.0}  # one sigma before anything is known
# An acceleration is taken to last for this long, whatever the rate of the pictures.
_ACCELERATION_LASTS_S = 0.3
# What is wrong with attitude, heading, height and the vehicle's own place stays wrong for many pictures, and
# moves the target's place without changing its velocity. This share of the covariance is taken to be new in
# each picture; with all of it, velocities come late and claim to be surer than they are.
_NEW_SHARE = 0.1
_LONGEST_PAUSE_NS = 5_000_000_000


@dataclass(frozen=True, slots=True)
class Motion:
    """Metres north and east of the filter's frame, metres per second, and their covariances.

    growth: by how much the place has become more uncertain since the last measurement. settled: the velocity
    may be told.
    """

    north_m: float
    east_m: float
    north_mps: float
    east_mps: float
    position: Covariance
    velocity: Covariance
    growth: Covariance
    settled: bool

    @property
    def speed_sigma_mps(self) -> float:
        return largest_sigma(self.velocity)


class TargetMotion:
    """The filter of one track. Times are those of pictures, in nanoseconds."""

    def __init__(self, kind: Class) -> None:
        self._density = ACCELERATION_MPS2[kind] ** 2 * _ACCELERATION_LASTS_S
        self._speed = SPEED_MPS[kind]
        self._state = np.zeros(4)  # north, east, and their rates
        self._covariance = np.eye(4)
        self._started_ns: int | None = None
        self._updated_ns = 0
        self._rejects = 0

    @property
    def started(self) -> bool:
        return self._started_ns is not None

    def age_ns(self, t_ns: int) -> int:
        """How long the filter has run since it was started or reset."""
        return 0 if self._started_ns is None else t_ns - self._started_ns

    def update(self, t_ns: int, north_m: float, east_m: float, covariance: Covariance) -> bool:
        """Takes in a measured place; False if it was rejected as too far off. The third in a row is believed,
        and the filter starts anew from it."""
        if self._started_ns is None or not 0 <= t_ns - self._updated_ns <= _LONGEST_PAUSE_NS:
            self._start(t_ns, north_m, east_m, covariance)
            return True
        state, predicted = self._predicted(t_ns)
        noise = _matrix(covariance)
        innovation = np.array([north_m, east_m]) - state[:2]
        weights = np.linalg.solve(predicted[:2, :2] + noise, innovation)
        if float(innovation @ weights) > GATE:
            self._rejects += 1
            if self._rejects < REJECTS_FOR_RESET:
                return False
            self._start(t_ns, north_m, east_m, covariance)
            return True
        self._rejects = 0
        noise *= _NEW_SHARE
        gain = np.linalg.solve(predicted[:2, :2] + noise, predicted[:2]).T  # [4, 2]
        kept = np.eye(4)
        kept[:, :2] -= gain
        self._state = state + gain @ innovation
        self._covariance = kept @ predicted @ kept.T + gain @ noise @ gain.T  # stays symmetric
        self._updated_ns = t_ns
        return True

    def at(self, t_ns: int) -> Motion:
        """The motion at a time after the last measurement."""
        state, p = self._predicted(max(t_ns, self._updated_ns))
        north, east, north_rate, east_rate = state.tolist()
        velocity = _triple(p[2:, 2:])
        settled = self.age_ns(t_ns) > SETTLED_AFTER_NS and largest_sigma(velocity) < LARGEST_SPEED_SIGMA_MPS
        growth = _triple(p[:2, :2] - self._covariance[:2, :2])
        return Motion(north, east, north_rate, east_rate, _triple(p[:2, :2]), velocity, growth, settled)

    def _start(self, t_ns: int, north_m: float, east_m: float, covariance: Covariance) -> None:
        self._state = np.array([north_m, east_m, 0.0, 0.0])
        self._covariance = np.diag([0.0, 0.0, self._speed**2, self._speed**2])
        self._covariance[:2, :2] = _matrix(covariance)
        self._started_ns = self._updated_ns = t_ns
        self._rejects = 0

    def _predicted(self, t_ns: int) -> tuple[np.ndarray, np.ndarray]:
        dt = (t_ns - self._updated_ns) / 1e9
        move = np.eye(4)
        move[0, 2] = move[1, 3] = dt
        covariance = move @ self._covariance @ move.T
        q = self._density
        for i in (0, 1):
            covariance[i, i] += q * dt**3 / 3
            covariance[i, i + 2] += q * dt**2 / 2
            covariance[i + 2, i] += q * dt**2 / 2
            covariance[i + 2, i + 2] += q * dt
        return move @ self._state, covariance


def _triple(matrix: np.ndarray) -> Covariance:
    (nn, ne), (_, ee) = matrix.tolist()
    return nn, ne, ee


def _matrix(covariance: Covariance) -> np.ndarray:
    nn, ne, ee = covariance
    return np.array([[nn, ne], [ne, ee]])
