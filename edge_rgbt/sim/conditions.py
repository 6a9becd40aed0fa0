"""Light, weather and heat of a flight: five presets, each varied by the seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_rgbt.errors import UsageError
from edge_rgbt.sim.noise import generator

PRESETS = ("day", "dusk", "night", "rain", "crossover")


@dataclass(frozen=True)
class Conditions:
    """What the cameras see through and how warm things are.

    sun: unit vector towards the sun (x east, y north, z up), or None when there are no cast shadows.
    light: gain of red, green, blue on surfaces (1.0 = plain daylight).
    exposure_s, rgb_noise: the visible camera's exposure and noise (standard deviation in grey levels).
    haze: extinction per metre of path; haze_rgb: its colour.
    heat: how much of the day's sun the surfaces have stored, -0.6 (clear night) to 1 (noon).
    air_c: air temperature; thermal_contrast: scale on every temperature difference (low at
    crossover and in rain).
    thermal_noise_k: temporal noise of the thermal camera, kelvin. object_contrast: further scale for movers.
    """

    preset: str
    sun: tuple[float, float, float] | None
    shadow: float
    light: tuple[float, float, float]
    exposure_s: float
    rgb_noise: float
    white_balance: tuple[float, float, float]
    haze: float
    haze_rgb: tuple[int, int, int]
    rain: float
    lamps: bool
    headlights: bool
    heat: float
    air_c: float
    thermal_contrast: float
    thermal_noise_k: float
    object_contrast: float = 1.0


def _sun(rng: np.random.Generator, low_deg: float, high_deg: float) -> tuple[float, float, float]:
    elevation = np.radians(rng.uniform(low_deg, high_deg))
    azimuth = rng.uniform(0, 2 * np.pi)
    return (
        float(np.sin(azimuth) * np.cos(elevation)),
        float(np.cos(azimuth) * np.cos(elevation)),
        float(np.sin(elevation)),
    )


def _tint(
    rng: np.random.Generator, level: float, red: float, green: float, blue: float
) -> tuple[float, float, float]:
    jitter = rng.uniform(0.95, 1.05, 3) * level
    return float(red * jitter[0]), float(green * jitter[1]), float(blue * jitter[2])


def make_conditions(seed: int, preset: str | None = None) -> Conditions:
    """Conditions of one flight; without a preset the seed chooses. Raises UsageError for an unknown name."""
    rng = generator(seed, "conditions")
    chosen = str(rng.choice(PRESETS, p=(0.34, 0.16, 0.26, 0.12, 0.12)))
    if preset is not None and preset not in PRESETS:
        raise UsageError(f"unknown preset {preset!r}: choose one of {', '.join(PRESETS)}")
    name = preset or chosen
    u = rng.uniform
    gains = 1 + rng.normal(0, 0.025, 3)
    balance = (float(gains[0]), float(gains[1]), float(gains[2]))
    if name == "day":
        overcast = rng.random() < 0.3
        return Conditions(
            name, None if overcast else _sun(rng, 25, 65), 0.0 if overcast else u(0.40, 0.55),
            _tint(rng, u(0.9, 1.08), 1.0, 1.0, 1.0), u(1 / 1500, 1 / 300), u(1.0, 2.5), balance,
            u(0.0002, 0.0014), (196, 204, 212), 0.0, False, False,
            u(0.55, 1.0), u(12, 30), u(0.8, 1.1), u(0.04, 0.09),
        )  # fmt: skip
    if name == "dusk":
        return Conditions(
            name, _sun(rng, 9, 16), u(0.25, 0.4), _tint(rng, u(0.55, 0.75), 1.08, 0.95, 0.93),
            u(1 / 250, 1 / 100), u(2.5, 4.5), balance, u(0.0006, 0.002), (150, 132, 128), 0.0,
            rng.random() < 0.5, True, u(0.1, 0.35), u(8, 22), u(0.7, 1.0), u(0.04, 0.09),
        )  # fmt: skip
    if name == "night":
        return Conditions(
            name, None, 0.0, _tint(rng, u(0.15, 0.28), 0.9, 0.97, 1.15), u(1 / 90, 1 / 40), u(4.5, 9.0),
            balance, u(0.0002, 0.001), (22, 23, 28), 0.0, True, True,
            u(-0.6, -0.25), u(0, 17), u(0.8, 1.1), u(0.04, 0.1),
        )  # fmt: skip
    if name == "rain":
        return Conditions(
            name, None, 0.0, _tint(rng, u(0.58, 0.8), 0.96, 1.0, 1.04), u(1 / 250, 1 / 90), u(2.5, 4.5),
            balance, u(0.004, 0.009), (158, 163, 168), u(0.4, 1.0), False, rng.random() < 0.6,
            u(0.0, 0.12), u(5, 16), u(0.4, 0.6), u(0.07, 0.13),
        )  # fmt: skip
    return Conditions(
        name, _sun(rng, 12, 30), u(0.25, 0.4), _tint(rng, u(0.75, 0.95), 1.04, 0.98, 0.95),
        u(1 / 500, 1 / 200), u(1.5, 3.0), balance, u(0.0004, 0.002), (190, 190, 192), 0.0, False, False,
        u(-0.05, 0.08), u(14, 30), u(0.2, 0.34), u(0.03, 0.055), u(0.3, 0.7),
    )  # fmt: skip
