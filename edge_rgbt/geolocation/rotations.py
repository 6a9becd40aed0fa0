"""Unit quaternions (w, x, y, z) as plain tuples: for a handful of rotations per picture numpy is slower.

They rotate a camera or body vector (x forward, y right, z down) to north-east-down. Euler angles are Z-Y-X
(yaw, pitch, roll) in radians.
"""

from __future__ import annotations

import math

Quaternion = tuple[float, float, float, float]
Vector = tuple[float, float, float]

IDENTITY: Quaternion = (1.0, 0.0, 0.0, 0.0)


def normalised(q: Quaternion) -> Quaternion | None:
    """The unit quaternion of the same direction; None where the numbers are no attitude."""
    length = math.sqrt(sum(part * part for part in q))
    if not 0.5 < length < 2.0:  # NaN fails too
        return None
    w, x, y, z = q
    return (w / length, x / length, y / length, z / length)


def multiplied(a: Quaternion, b: Quaternion) -> Quaternion:
    """The rotation that does b first, then a."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def conjugated(q: Quaternion) -> Quaternion:
    """The rotation back."""
    return (q[0], -q[1], -q[2], -q[3])


def from_euler(roll_rad: float, pitch_rad: float, yaw_rad: float) -> Quaternion:
    cr, sr = math.cos(roll_rad / 2), math.sin(roll_rad / 2)
    cp, sp = math.cos(pitch_rad / 2), math.sin(pitch_rad / 2)
    cy, sy = math.cos(yaw_rad / 2), math.sin(yaw_rad / 2)
    return (
        cr * cp * cy + sr * sp * sy,
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
    )


def from_degrees(roll_deg: float, pitch_deg: float, yaw_deg: float) -> Quaternion:
    return from_euler(math.radians(roll_deg), math.radians(pitch_deg), math.radians(yaw_deg))


def heading_rotation(yaw_rad: float) -> Quaternion:
    """A turn about the vertical, to the right."""
    return (math.cos(yaw_rad / 2), 0.0, 0.0, math.sin(yaw_rad / 2))


def heading_of(q: Quaternion) -> float:
    """Yaw from north in radians, -pi..pi."""
    w, x, y, z = q
    return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def up_share(q: Quaternion) -> float:
    """Cosine of the tilt: 1 when level."""
    return 1 - 2 * (q[1] * q[1] + q[2] * q[2])


def rotated(q: Quaternion, v: Vector) -> Vector:
    """The vector seen in the frame that q rotates to."""
    w, x, y, z = q
    vx, vy, vz = v
    tx, ty, tz = 2 * (y * vz - z * vy), 2 * (z * vx - x * vz), 2 * (x * vy - y * vx)
    return (
        vx + w * tx + y * tz - z * ty,
        vy + w * ty + z * tx - x * tz,
        vz + w * tz + x * ty - y * tx,
    )


def interpolated(a: Quaternion, b: Quaternion, part: float) -> Quaternion:
    """Slerp the short way; part 0 gives a, 1 gives b, beyond 1 goes on at the same rate."""
    cos = sum(x * y for x, y in zip(a, b, strict=True))
    if cos < 0:
        b, cos = (-b[0], -b[1], -b[2], -b[3]), -cos
    if cos > 0.999999:
        first, second = 1 - part, part
    else:
        angle = math.acos(cos)
        sin = math.sin(angle)
        first, second = math.sin((1 - part) * angle) / sin, math.sin(part * angle) / sin
    w, x, y, z = (first * p + second * q for p, q in zip(a, b, strict=True))
    length = math.sqrt(w * w + x * x + y * y + z * z)
    return (w / length, x / length, y / length, z / length)


def turn_between(a: Quaternion, b: Quaternion) -> Vector:
    """The turn from a to b the short way, as a vector about the outer (earth) axes, in radians."""
    w, x, y, z = multiplied(b, conjugated(a))
    if w < 0:
        w, x, y, z = -w, -x, -y, -z
    sin = math.sqrt(x * x + y * y + z * z)
    if sin < 1e-12:
        return (0.0, 0.0, 0.0)
    scale = 2 * math.atan2(sin, w) / sin
    return (x * scale, y * scale, z * scale)


def crossed(a: Vector, b: Vector) -> Vector:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
