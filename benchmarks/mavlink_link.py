"""What the MAVLink side costs and how fast it answers, over UDP on this machine.

    python -m benchmarks.mavlink_link

A station with a camera component in a process of its own: quiet, under an autopilot's stream of messages, and
beside two threads that never leave the interpreter alone. CPU is of the whole process, in percent of a core.
"""

from __future__ import annotations

import argparse
import itertools
import json
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from pymavlink.dialects.v20 import common as dialect

ROOT = Path(__file__).resolve().parents[1]
# messages per second, threads that never rest, the interpreter's switch interval in ms
SCENES = {
    "quiet": (0, 0, 5.0),
    "500 messages/s": (500, 0, 5.0),
    "500 messages/s, busy interpreter": (500, 2, 5.0),
    "500 messages/s, busy interpreter that switches every ms": (500, 2, 1.0),
}
STATION = """
import json, sys, threading, time
from edge_rgbt.mavlink.camera.component import CameraComponent
from edge_rgbt.mavlink.settings import MavlinkSettings
from edge_rgbt.mavlink.station import Station
url, busy = sys.argv[1], int(sys.argv[2])
sys.setswitchinterval(float(sys.argv[3]) / 1000)
camera = CameraComponent()
camera.ready()
def spin():
    while True:
        sum(range(1000))
with Station(MavlinkSettings(url=(url,), sysid=7), [camera]):
    for _ in range(busy):
        threading.Thread(target=spin, daemon=True).start()
    time.sleep(1.0)
    cpu_s, began_s = time.process_time(), time.monotonic()
    sys.stdin.readline()
    seconds = time.monotonic() - began_s
    print(json.dumps({"cpu_percent": round(100 * (time.process_time() - cpu_s) / seconds, 1)}), flush=True)
"""


def measure(per_s: int, busy: int, switch_ms: float, seconds: float) -> dict[str, float]:
    """Round trips of STOP_TRACKING, which is always accepted, while so many messages come in."""
    ground = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ground.bind(("127.0.0.1", 0))
    url = f"udpout:127.0.0.1:{ground.getsockname()[1]}"
    child = subprocess.Popen(
        [sys.executable, "-c", STATION, url, str(busy), str(switch_ms)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        _, peer = ground.recvfrom(4096)
        ground.settimeout(0.0005)
        trips, beats = _converse(ground, peer, per_s, seconds)
        report, _ = child.communicate("\n", timeout=30)
    finally:
        child.kill()
        ground.close()
    gaps = [later - earlier for earlier, later in itertools.pairwise(beats)]
    return {
        **({} if busy else json.loads(report)),
        "acks": len(trips),
        "ack_p50_ms": round(statistics.median(trips), 2),
        "ack_worst_ms": round(max(trips), 2),
        "heartbeat_gap_min_s": round(min(gaps), 3),
        "heartbeat_gap_max_s": round(max(gaps), 3),
    }


def _converse(ground: socket.socket, peer, per_s: int, seconds: float) -> tuple[list[float], list[float]]:
    pilot, asking = _voice(7, 1), _voice(255, 190)
    parser = dialect.MAVLink(None)
    parser.robust_parsing = True
    attitude = dialect.MAVLink_attitude_quaternion_message(0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    trips, beats, asked_s, sent = [], [], None, 0
    began_s = next_ask_s = time.monotonic()
    while (now_s := time.monotonic()) - began_s < seconds:
        while sent < (now_s - began_s) * per_s:
            ground.sendto(_frame(pilot, attitude), peer)
            sent += 1
        if asked_s is None and now_s >= next_ask_s:
            # Another parameter each time: the same command again would be taken for a retransmission.
            stop = dialect.MAVLink_command_long_message(7, 100, 2010, 0, 0, len(trips) + 1, 0, 0, 0, 0, 0)
            asked_s, next_ask_s = time.monotonic(), now_s + 0.1
            ground.sendto(_frame(asking, stop), peer)
        try:
            data = ground.recv(65536)
        except (TimeoutError, BlockingIOError):
            continue
        for message in parser.parse_buffer(data) or ():
            if message.get_type() == "COMMAND_ACK" and asked_s is not None:
                trips.append(1000 * (time.monotonic() - asked_s))
                asked_s = None
            elif message.get_type() == "HEARTBEAT":
                beats.append(time.monotonic())
    return trips, beats


def _voice(system: int, component: int):
    return dialect.MAVLink(None, srcSystem=system, srcComponent=component)


def _frame(voice, message) -> bytes:
    data = message.pack(voice)
    voice.seq = (voice.seq + 1) % 256
    return bytes(data)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="of each scene")
    seconds = parser.parse_args().seconds
    for name, scene in SCENES.items():
        print(f"{name}: {json.dumps(measure(*scene, seconds))}", flush=True)


if __name__ == "__main__":
    main()
