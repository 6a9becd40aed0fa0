"""The simulated autopilot on real sockets, a real terminal line, and in a process of its own."""

from __future__ import annotations

import argparse
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edge_rgbt.commands import sim_vehicle
from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.mavlink.autopilot import FlightMode
from edge_rgbt.mavlink.autopilot.process import VehicleOrder, VehicleProcess, make_autopilot, serve
from edge_rgbt.mavlink.autopilot.settings import SimulatedVehicleSettings
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.framing import Decoder, FrameCounters, FrameReader, FrameWriter
from edge_rgbt.mavlink.identity import Identity
from edge_rgbt.settings import build_settings
from edge_rgbt.sim.vehicle import PERFECT, VehicleSettings

PATIENCE_S = 10.0


class Peer:
    """The other end of an endpoint: bytes in and out of any file descriptor, messages heard."""

    def __init__(self, read: Callable[[], bytes], write: Callable[[bytes], Any]) -> None:
        self._read, self._write = read, write
        self._reader, self._decoder, self._writer = FrameReader(FrameCounters()), Decoder(), FrameWriter()

    def say(self, message: Any) -> None:
        self._write(self._writer.write(Identity(3, 191), message))

    def wait_for(self, kind: str, fits: Callable[[Any], bool] = lambda message: True) -> Any:
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            for frame in self._reader.feed(self._read(), time.monotonic_ns()):
                message = self._decoder.decode(frame)
                if message is not None and message.get_type() == kind and fits(message):
                    return message
        raise AssertionError(f"no {kind} within {PATIENCE_S} s")


def over(sock: socket.socket, address: Any = None) -> Peer:
    sock.settimeout(0.2)

    def read() -> bytes:
        try:
            return sock.recv(65536)
        except TimeoutError:
            return b""

    return Peer(read, sock.send if address is None else lambda data: sock.sendto(data, address))


def free_port(kind: int = socket.SOCK_DGRAM) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


def order(*urls: str, stack: str = "arducopter") -> VehicleOrder:
    return VehicleOrder(stack, urls, system=3)


def test_over_udp_it_beats_and_obeys(listener: socket.socket) -> None:
    with serve(order(f"udpout:127.0.0.1:{listener.getsockname()[1]}")):
        data, address = listener.recvfrom(65536)
        assert data[0] == 0xFD
        peer = over(listener, address)
        assert peer.wait_for("HEARTBEAT").autopilot == dialect.MAV_AUTOPILOT_ARDUPILOTMEGA
        peer.say(dialect.MAVLink_command_long_message(3, 1, 511, 0, 31, 50_000, 0, 0, 0, 0, 0))
        assert peer.wait_for("COMMAND_ACK").result == dialect.MAV_RESULT_ACCEPTED
        first = peer.wait_for("ATTITUDE_QUATERNION")
        later = peer.wait_for("ATTITUDE_QUATERNION", lambda m: m.time_boot_ms > first.time_boot_ms + 200)
        assert later.q1 == pytest.approx(1.0, abs=0.01)


def test_over_tcp_a_client_comes_and_comes_again() -> None:
    port = free_port(socket.SOCK_STREAM)
    with serve(order(f"tcpin:127.0.0.1:{port}", stack="px4")):
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock:
                assert over(sock).wait_for("HEARTBEAT").autopilot == dialect.MAV_AUTOPILOT_PX4


def test_over_a_serial_line_it_answers_the_time() -> None:
    mine, theirs = os.openpty()
    try:
        with serve(order(f"serial:{os.ttyname(theirs)}:57600")):
            os.set_blocking(mine, False)

            def read() -> bytes:
                time.sleep(0.01)
                try:
                    return os.read(mine, 65536)
                except BlockingIOError:
                    return b""

            peer = Peer(read, lambda data: os.write(mine, data))
            peer.wait_for("HEARTBEAT")
            peer.say(dialect.MAVLink_timesync_message(0, 123_456_789))
            assert peer.wait_for("TIMESYNC", lambda m: m.ts1 == 123_456_789).tc1 > 0
    finally:
        os.close(mine)
        os.close(theirs)


def test_it_routes_between_its_endpoints(listener: socket.socket) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ground:
        ground.bind(("127.0.0.1", 0))
        urls = [f"udpout:127.0.0.1:{sock.getsockname()[1]}" for sock in (listener, ground)]
        with serve(order(*urls)):
            _, address = listener.recvfrom(65536)
            camera, station = over(listener, address), over(ground)
            camera.say(dialect.MAVLink_heartbeat_message(30, 8, 0, 0, 3, 3))
            assert station.wait_for("HEARTBEAT", lambda m: m.type == 30).get_srcComponent() == 191


def test_a_port_in_use_is_told_in_one_line() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(UsageError, match="in use"):
            serve(order(f"udpin:127.0.0.1:{sock.getsockname()[1]}"))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"stack": "betaflight"}, "betaflight"),
        ({"endpoints": ("udpout:nowhere",)}, "nowhere"),
        ({"system": 0}, "0"),
        ({"parameters": (("NO_SUCH", 1.0),)}, "NO_SUCH"),
    ],
)
def test_an_impossible_vehicle_is_named(wrong: dict, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        VehicleProcess(VehicleOrder(**wrong))


def test_poses_come_from_any_thread_while_it_flies(listener: socket.socket) -> None:
    with serve(order(f"udpout:127.0.0.1:{listener.getsockname()[1]}")) as server:
        poses: list[Any] = []
        threads = [threading.Thread(target=lambda: poses.append(server.pose(500_000_000))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(poses)) == 1
        with server.autopilot() as autopilot:
            assert autopilot.vehicle.t_ns >= 500_000_000


@pytest.mark.slow
def test_in_its_own_process_it_starts_where_the_flight_does_and_gives_poses(listener: socket.socket) -> None:
    from edge_rgbt.sim import make_scenario

    scenario = make_scenario(3, "day", 4.0)
    url = f"udpout:127.0.0.1:{listener.getsockname()[1]}"
    wanted = VehicleOrder("px4", (url,), system=3, vehicle=VehicleSettings(gimbal_pitch_rad=0.1))
    with VehicleProcess(wanted) as process:
        poses = process.make_poses(scenario, time.monotonic_ns())
        begin, drone = poses.pose(0), scenario.drone.pose(0)
        assert begin.position == pytest.approx(drone.position, abs=0.01)
        assert begin.camera_pitch_deg == pytest.approx(drone.camera_pitch_deg, abs=0.1)
        assert poses.pose(300_000_000) == poses.pose(300_000_000)
        assert over(listener).wait_for("HEARTBEAT").get_srcSystem() == 3
        again = process.make_poses(scenario, time.monotonic_ns())  # the cameras' process was started anew
        assert again.pose(0).position == begin.position
        process.close()
        with pytest.raises(EdgeRgbtError, match="vehicle"):
            again.pose(400_000_000)


def command(*arguments: str) -> int:
    """`edge-rgbt sim-vehicle` with these arguments, in this process."""
    parser = argparse.ArgumentParser()
    sim_vehicle.configure(parser)
    return sim_vehicle.run(parser.parse_args(arguments))


def test_the_command_flies_for_so_many_seconds(
    listener: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"udpout:127.0.0.1:{listener.getsockname()[1]}"
    assert (
        command("--stack", "arducopter", "--endpoint", url, "--seconds", "0.3", "--set", "foll_sysid=9") == 0
    )
    assert "arducopter, system 1" in capsys.readouterr().out
    assert over(listener).wait_for("HEARTBEAT").autopilot == dialect.MAV_AUTOPILOT_ARDUPILOTMEGA


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--stack", "pixhawk"), "'px4', 'arducopter'"),
        (("--mode", "acro"), "acro"),
        (("--mode", "guided"), "cannot begin"),
        (("--wind", "40"), "0 to 12"),
        (("--set", "FLW_TGT_DST"), "NAME=VALUE"),
        (("--set", "FLW_TGT_DST=nan"), "NAME=VALUE"),
        (("--set", "NO_SUCH=1"), "NO_SUCH"),
        (("--endpoint", "14550"), "udpout:HOST:PORT"),
        (("--seconds", "0"), "more than 0"),
    ],
)
def test_a_wrong_call_says_what_is_allowed(arguments: tuple[str, ...], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        command(*arguments)


def test_the_configurations_table_becomes_the_vehicles_order() -> None:
    values = {"stack": "arducopter", "mode": "follow", "parameters": ["FOLL_OFS_X=-20"], "exact": True}
    settings = build_settings(SimulatedVehicleSettings, values, "flight.toml", "simulator.vehicle.")
    autopilot = make_autopilot(settings.order(seed=4), 0)
    assert autopilot.parameters["FOLL_OFS_X"] == -20.0
    assert autopilot.flight.mode is FlightMode.FOLLOW
    assert autopilot.vehicle.settings.errors == PERFECT


def yaw_of(picture: Any) -> float:
    """Where the camera looked, in degrees from north."""
    assert picture is not None
    return picture.pose.camera_yaw_deg


@pytest.mark.slow
def test_it_carries_the_cameras_of_the_simulators_process(listener: socket.socket) -> None:
    """Three processes: this one speaks MAVLink to the vehicle's and reads pictures of the renderer's."""
    from edge_rgbt.cameras.flight_process import FlightOrder, FlightProcess, OpenCamera, ReadFrame
    from edge_rgbt.types import Modality

    url = f"udpout:127.0.0.1:{listener.getsockname()[1]}"
    with VehicleProcess(order(url)) as vehicle:
        small = (160, 128)
        flight = FlightProcess(FlightOrder(3, "day", 60.0, small, small, vehicle=vehicle.make_poses))
        try:
            flight.ask(OpenCamera(Modality.RGB, 10.0))
            before = yaw_of(flight.ask(ReadFrame(Modality.RGB, live=True)))
            _, address = listener.recvfrom(65536)
            peer = over(listener, address)
            # ArduCopter needs nobody's leave, and turns on until it is told to stop.
            rates = dialect.MAVLink_gimbal_manager_set_attitude_message
            peer.say(rates(3, 1, 12, 0, [float("nan")] * 4, 0.0, 0.0, 0.5))
            peer.wait_for("HEARTBEAT")
            until_s, turned = time.monotonic() + PATIENCE_S, 0.0
            while turned < 10 and time.monotonic() < until_s:
                turned = (yaw_of(flight.ask(ReadFrame(Modality.RGB, live=True))) - before) % 360
            assert 10 <= turned < 180
        finally:
            flight.close()


@pytest.mark.slow
def test_a_stranger_at_its_door_changes_nothing(listener: socket.socket) -> None:
    from multiprocessing import AuthenticationError
    from multiprocessing.connection import Client

    from edge_rgbt.sim import make_scenario

    scenario = make_scenario(3, "day", 2.0, rgb_size=(64, 64), tir_size=(64, 64))
    with VehicleProcess(order(f"udpout:127.0.0.1:{listener.getsockname()[1]}")) as process:
        address, _ = process.make_poses.args  # type: ignore[attr-defined]
        with pytest.raises((AuthenticationError, OSError, EOFError)):
            Client(address, authkey=b"guessed")
        poses = process.make_poses(scenario, time.monotonic_ns())
        assert poses.pose(0).position == pytest.approx(scenario.drone.pose(0).position, abs=0.01)
