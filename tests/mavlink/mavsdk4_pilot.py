"""A program of MAVSDK 4 that flies a vehicle: PORT and "gimbal" or "none" in, what it saw as JSON out."""

import json
import sys
import time

from mavsdk import ComponentType, Configuration, Mavsdk
from mavsdk.plugins.action import Action
from mavsdk.plugins.gimbal import ControlMode, Gimbal
from mavsdk.plugins.telemetry import Telemetry


def wait_for(answer, seconds=20.0):
    end_s = time.monotonic() + seconds
    while not (found := answer()):
        if time.monotonic() > end_s:
            raise SystemExit("MAVSDK saw nothing in time")
        time.sleep(0.02)
    return found


def main(port, with_gimbal):
    mavsdk = Mavsdk(Configuration.create_with_component_type(ComponentType.GROUND_STATION))
    assert mavsdk.add_any_connection(f"udpin://127.0.0.1:{port}") == 0
    system = wait_for(mavsdk.get_systems)[0]
    telemetry, action, gimbal = Telemetry(system), Action(system), Gimbal(system)
    telemetry.set_rate_position(10.0)  # ArduPilot streams nothing unasked
    start = wait_for(lambda: p if (p := telemetry.position()).relative_altitude_m > 1 else None)
    found = {"start": [start.latitude_deg, start.longitude_deg, start.relative_altitude_m]}
    wait_for(telemetry.armed)
    if with_gimbal:  # found by what it streams
        one = wait_for(lambda: gimbal.gimbal_list().gimbals)[0]
        found["take_gimbal"] = gimbal.take_control(one.gimbal_id, ControlMode.PRIMARY)
    goal = (start.latitude_deg + 1e-4, start.longitude_deg, start.absolute_altitude_m)
    found["goto"] = action.goto_location(*goal, 0.0)
    wait_for(lambda: abs(telemetry.position().latitude_deg - goal[0]) < 1e-5)
    found["return"] = action.return_to_launch()
    print(json.dumps(found, default=int))


main(int(sys.argv[1]), sys.argv[2] == "gimbal")
