"""The few parameters that matter to a companion: read, listed and set over the parameter protocol."""

from __future__ import annotations

import math
import struct
from typing import Any

from edge_rgbt.mavlink.autopilot.stacks import Stack
from edge_rgbt.mavlink.dialect import common as dialect

_LAST_SYSTEM = 250  # beyond are ground stations
_FLOAT, _INTEGER = dialect.MAV_PARAM_TYPE_REAL32, dialect.MAV_PARAM_TYPE_INT32


class Parameters:
    """Names and values of one autopilot. Whole-number parameters stay whole."""

    def __init__(self, stack: Stack, ports: int, system: int) -> None:
        self._as_bytes = stack.integers_as_bytes
        self._values: dict[str, float | int] = dict(stack.parameters)
        for index in range(ports):
            if stack.floods_and_learns:
                self._values[f"SERIAL{index + 1}_PROTOCOL"] = 2
            else:
                self._values[f"MAV_{index}_FORWARD"] = 1
        self.system_name = "SYSID_THISMAV" if stack.floods_and_learns else "MAV_SYS_ID"
        self._values[self.system_name] = system

    def __getitem__(self, name: str) -> float | int:
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __setitem__(self, name: str, value: float) -> None:
        """Raises KeyError for a name that this autopilot does not have. It keeps a system id that can be."""
        old = self._values[name]
        if name == self.system_name and not 1 <= value <= _LAST_SYSTEM:
            return
        self._values[name] = round(value) if isinstance(old, int) else float(value)

    def answer(self, message: Any) -> list[Any]:
        """PARAM_VALUE messages for a request or a change; nothing for a parameter that is not there."""
        kind = message.get_type()
        if kind == "PARAM_REQUEST_LIST":
            return [self._value(name) for name in self._values]
        if kind == "PARAM_REQUEST_READ" and message.param_index >= 0:
            names = list(self._values)
            return [self._value(names[message.param_index])] if message.param_index < len(names) else []
        name = _text(message.param_id)
        if name not in self._values:
            return []
        if kind == "PARAM_SET":
            value = self._decoded(name, message.param_value)
            if math.isfinite(value):
                self[name] = value
        return [self._value(name)]

    def _value(self, name: str) -> Any:
        value = self._values[name]
        kind, number = _FLOAT, float(value)
        if isinstance(value, int):
            kind = _INTEGER
            if self._as_bytes:  # PX4 puts the integer's bytes where the float stands
                number = struct.unpack("<f", struct.pack("<i", value))[0]
        index = list(self._values).index(name)
        return dialect.MAVLink_param_value_message(name.encode(), number, kind, len(self._values), index)

    def _decoded(self, name: str, number: float) -> float:
        if isinstance(self._values[name], int) and self._as_bytes:
            return float(struct.unpack("<i", struct.pack("<f", number))[0])
        return number


def _text(name: str | bytes) -> str:
    text = name.decode("ascii", "replace") if isinstance(name, bytes) else name
    return text.split("\0")[0]
