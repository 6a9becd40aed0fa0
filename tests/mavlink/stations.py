"""Real ends for our endpoints: UDP ground stations and serial lines; and a component that answers."""

from __future__ import annotations

import os
import socket
import threading
import time
import tty

from pymavlink.dialects.v20 import common as dialect

from edge_rgbt.mavlink.exchange import Outgoing, Priority

PROBE = dialect.MAV_CMD_USER_1  # the command that `Echo` acknowledges


def wait_for(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return bool(condition())


def free_port(kind=socket.SOCK_STREAM, family=socket.AF_INET):
    with socket.socket(family, kind) as probe:
        probe.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        return probe.getsockname()[1]


class Voice:
    """Packs messages of one (system, component)."""

    def __init__(self, system=255, component=190, key=None):
        self.library = dialect.MAVLink(None, srcSystem=system, srcComponent=component)
        if key is not None:
            self.library.signing.secret_key = key
            self.library.signing.sign_outgoing = True

    def at(self, timestamp, link_id=0):
        self.library.signing.timestamp, self.library.signing.link_id = timestamp, link_id
        return self

    def frame(self, message, version_1=False):
        data = message.pack(self.library, force_mavlink1=version_1)
        self.library.seq = (self.library.seq + 1) % 256
        return bytes(data)

    def heartbeat(self, kind=6, autopilot=8, version_1=False):
        return self.frame(dialect.MAVLink_heartbeat_message(kind, autopilot, 0, 0, 4, 3), version_1)

    def command(self, number=PROBE, target=(1, 100), param1=0.0):
        return self.frame(dialect.MAVLink_command_long_message(*target, number, 0, param1, 0, 0, 0, 0, 0, 0))


def autopilot(system=1):
    """A voice and its heartbeat of an ArduPilot multicopter."""
    voice = Voice(system, 1)
    return voice, lambda: voice.heartbeat(2, 3)


class Ears:
    """Every message of a stream of bytes, or those of some kinds only, with its time of arrival."""

    def __init__(self):
        self.parser = dialect.MAVLink(None)
        self.parser.robust_parsing = True
        self.heard, self.only = [], None

    def take(self, data):
        now = time.monotonic()
        messages = self.parser.parse_buffer(data) or []
        self.heard += [(now, m) for m in messages if self.only is None or m.get_type() in self.only]

    def of(self, kind):
        return [message for _, message in list(self.heard) if message.get_type() == kind]

    def texts(self):
        return [message.text for message in self.of("STATUSTEXT")]

    def times_of(self, kind):
        return [when for when, message in list(self.heard) if message.get_type() == kind]


class UdpEnd:
    """A UDP socket with a thread that listens; `peer` is who spoke last."""

    def __init__(self, port=0):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        self.socket.settimeout(0.05)
        self.port = self.socket.getsockname()[1]
        self.ears, self.peer, self._stop = Ears(), None, False
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self):
        while not self._stop:
            try:
                data, self.peer = self.socket.recvfrom(65536)
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                continue
            self.ears.take(data)

    def send(self, data, port=None):
        self.socket.sendto(data, self.peer if port is None else ("127.0.0.1", port))

    def of(self, kind):
        return self.ears.of(kind)

    def close(self):
        self._stop = True
        self._thread.join()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()


class Line:
    """A serial line: ours is the slave of a pty, reached by a name of its own that can be unplugged."""

    def __init__(self, folder):
        self.name = folder / "ttyDRONE"
        self.ears, self._thread, self._stop, self.master = Ears(), None, False, -1
        self.plug()

    @property
    def url(self):
        return f"serial:{self.name}:115200"

    def plug(self):
        self.master, slave = os.openpty()
        tty.setraw(slave)
        device = os.ttyname(slave)
        self.name.unlink(missing_ok=True)
        self.name.symlink_to(device)
        os.set_blocking(self.master, False)
        self._slave, self._stop = slave, False
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self):
        while not self._stop:
            try:
                self.ears.take(os.read(self.master, 4096))
            except BlockingIOError:
                time.sleep(0.005)
            except OSError:
                return

    def send(self, data):
        os.write(self.master, data)

    def unplug(self):
        """As a cable is pulled: the device fails and its name goes."""
        self._stop = True
        self._thread.join()
        self.name.unlink(missing_ok=True)
        os.close(self.master)
        os.close(self._slave)

    def of(self, kind):
        return self.ears.of(kind)


class Echo:
    """Acknowledges PROBE, remembers all that it is told, says once a turn what `say` holds."""

    def __init__(self):
        self.received, self.links, self.systems, self.turns, self.say = [], [], [], [], []
        self.closed = False

    def receive(self, received):
        self.received.append(received)
        if received.message.get_type() != "COMMAND_LONG" or received.message.command != PROBE:
            return []
        ack = dialect.MAVLink_command_ack_message(PROBE, 0, 0, 0, received.system, received.component)
        return [Outgoing(ack, Priority.ACK, endpoint=received.endpoint)]

    def due(self, now_ns):
        self.turns.append(now_ns)
        said, self.say = self.say, []
        return said

    def link_changed(self, endpoint, up):
        self.links.append((endpoint, up))
        return []

    def vehicle_changed(self, system):
        self.systems.append(system)
        return []

    def closing(self):
        self.closed = True
        return [Outgoing(dialect.MAVLink_statustext_message(6, b"last words", 0, 0), Priority.ONE_SHOT)]

    def kinds(self):
        return [one.message.get_type() for one in list(self.received)]
