"""A ground station of MAVSDK 3 in a process of its own: PORT SYSTEM in, what it saw as JSON out."""

import asyncio
import json
import socket
import sys
import time

from mavsdk import System
from mavsdk.camera import CameraError

STATUS = "CAMERA_TRACKING_IMAGE_STATUS"


async def result(call):
    began_s = time.monotonic()
    try:
        await call
    except CameraError as error:
        return error._result.result.name, time.monotonic() - began_s
    return "SUCCESS", time.monotonic() - began_s


async def main(port):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server_port = probe.getsockname()[1]
    drone = System(port=server_port)
    await drone.connect(system_address=f"udpin://127.0.0.1:{port}")
    first_s = time.monotonic()
    async for found_cameras in drone.camera.camera_list():
        if found_cameras.cameras:
            break
    information = found_cameras.cameras[0]
    found = {
        "discovery_s": time.monotonic() - first_s,
        "component_id": information.component_id,
        "vendor_name": information.vendor_name,
        "model_name": information.model_name,
        "resolution": [information.horizontal_resolution_px, information.vertical_resolution_px],
    }
    found["rectangle"] = await result(drone.camera.track_rectangle(100, 0.25, 0.25, 0.75, 0.75))
    found["point"] = await result(drone.camera.track_point(100, 0.5, 0.5, 0.05))
    found["tiny"] = await result(drone.camera.track_rectangle(100, 0.5, 0.5, 0.5005, 0.5005))
    async for message in drone.mavlink_direct.message(STATUS):
        found["status"] = json.loads(message.fields_json)
        if found["status"]["tracking_status"] == 1:
            break
    found["stop"] = await result(drone.camera.track_stop(100))
    found["stop_again"] = await result(drone.camera.track_stop(100))
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(main(int(sys.argv[1])), 40))
