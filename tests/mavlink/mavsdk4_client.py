"""A ground station of MAVSDK 4 in a process of its own: PORT SYSTEM in, what it saw as JSON out."""

import json
import sys
import time

from mavsdk import ComponentType, Configuration, Mavsdk
from mavsdk.plugins.camera import Camera, CameraError
from mavsdk.plugins.mavlink_direct import MavlinkDirect, MavlinkMessage

STATUS, PLACE = "CAMERA_TRACKING_IMAGE_STATUS", "CAMERA_TRACKING_GEO_STATUS"


def wait_for(answer, seconds=10.0):
    end_s = time.monotonic() + seconds
    while not answer():
        if time.monotonic() > end_s:
            raise SystemExit("MAVSDK saw nothing in time")
        time.sleep(0.01)
    return answer()


def result(call, *arguments):
    """SUCCESS, or the name of the CameraResult; and how long it took."""
    began_s = time.monotonic()
    try:
        call(*arguments)
    except CameraError as error:
        return error.result.name, time.monotonic() - began_s
    return "SUCCESS", time.monotonic() - began_s


def main(port, system_id):
    mavsdk = Mavsdk(Configuration.create_with_component_type(ComponentType.GROUND_STATION))
    assert mavsdk.add_any_connection(f"udpin://127.0.0.1:{port}") == 0
    system = wait_for(mavsdk.get_systems)[0]
    first_s = time.monotonic()
    camera, direct = Camera(system), MavlinkDirect(system)
    information = wait_for(lambda: camera.camera_list().cameras)[0]
    found = {"discovery_s": time.monotonic() - first_s}
    for name in ("component_id", "vendor_name", "model_name"):
        found[name] = getattr(information, name)
    found["resolution"] = [information.horizontal_resolution_px, information.vertical_resolution_px]
    heard = []
    for name in (STATUS, PLACE):
        direct.subscribe_message(name, lambda message, _: heard.append((time.monotonic(), message)))

    def send(number, *params):
        names = [f"param{i}" for i in range(1, 8)]
        fields = dict(zip(names, [*params, 0, 0, 0, 0, 0, 0, 0], strict=False))
        fields |= {"target_system": system_id, "target_component": 100, "command": number, "confirmation": 0}
        to = {
            "system_id": 245,
            "component_id": 190,
            "target_system_id": system_id,
            "target_component_id": 100,
        }
        direct.send_message(MavlinkMessage(message_name="COMMAND_LONG", fields_json=json.dumps(fields), **to))

    def told(name, since_s):
        ours = [(when, json.loads(m.fields_json)) for when, m in heard if m.message_name == name]
        return [(when, fields) for when, fields in ours if when >= since_s]

    found["rectangle"] = result(camera.track_rectangle, 100, 0.25, 0.25, 0.75, 0.75)
    found["point"] = result(camera.track_point, 100, 0.5, 0.5, 0.05)
    found["tiny"] = result(camera.track_rectangle, 100, 0.5, 0.5, 0.5005, 0.5005)
    send(511, 275, 100_000)
    time.sleep(0.3)
    began_s = time.monotonic()
    time.sleep(2.0)
    statuses = told(STATUS, began_s)
    found["status_hz"] = (len(statuses) - 1) / (statuses[-1][0] - statuses[0][0])
    found["status"] = statuses[-1][1]
    found["place"] = told(PLACE, began_s)[-1][1]
    found["stop"] = result(camera.track_stop, 100)
    found["stop_again"] = result(camera.track_stop, 100)
    time.sleep(0.3)
    found["last_status"] = told(STATUS, began_s)[-1][1]
    streams = []
    camera.subscribe_video_stream_info(lambda updates, *_: streams.append(updates))
    wait_for(lambda: streams)
    stream = streams[-1].video_stream_info
    found["stream"] = [stream.stream_id, stream.settings.uri, stream.settings.horizontal_resolution_pix]
    wait_for(lambda: result(camera.get_storage, 100)[0] == "SUCCESS")  # asked for every 5 s
    found["storage_mib"] = camera.get_storage(100).total_storage_mib
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
