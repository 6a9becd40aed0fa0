"""Selects what is in the middle of the picture and prints where it goes. Needs: pip install 'mavsdk>=4'."""

import json
import sys
import time

from mavsdk import ComponentType, Configuration, Mavsdk
from mavsdk.plugins.camera import Camera
from mavsdk.plugins.mavlink_direct import MavlinkDirect

PICTURE, EARTH = "CAMERA_TRACKING_IMAGE_STATUS", "CAMERA_TRACKING_GEO_STATUS"
SHOWN = {PICTURE: ("rec_top_x", "rec_top_y"), EARTH: ("lat", "lon")}


def show(message, _):
    fields = json.loads(message.fields_json)
    print({key: fields[key] for key in ("tracking_status", *SHOWN[message.message_name])}, flush=True)


ground = Mavsdk(Configuration.create_with_component_type(ComponentType.GROUND_STATION))
ground.add_any_connection(sys.argv[1] if len(sys.argv) > 1 else "udpin://127.0.0.1:14550")
while not ground.get_systems():
    time.sleep(0.1)
camera, messages = Camera(ground.get_systems()[0]), MavlinkDirect(ground.get_systems()[0])
while not camera.camera_list().cameras:
    time.sleep(0.1)
component = camera.camera_list().cameras[0].component_id
for name in SHOWN:
    messages.subscribe_message(name, show)
camera.track_rectangle(component, 0.4, 0.4, 0.6, 0.6)  # raises CameraError where it is refused
time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 20.0)
camera.track_stop(component)
