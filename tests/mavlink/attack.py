"""Random bytes and random valid frames into endpoints for some seconds, from a process of its own.

python -m tests.mavlink.attack SECONDS SEED KIND:VALUE... with udp:PORT, tcp:PORT or fd:NUMBER
"""

from __future__ import annotations

import os
import random
import socket
import sys
import time
from contextlib import suppress

from pymavlink.dialects.v20 import common as dialect

BYTES_PER_S = 200_000  # to each endpoint, as a link at 2 Mbaud could


def valid_frame(message_id, random_source):
    """A frame of this message with any payload, of any source, often meant for us."""
    kind = dialect.mavlink_map[message_id]
    payload = bytearray(random_source.randbytes(max(1, kind.unpacker.size)))
    source = random_source.choice([(1, 1), (255, 190), (7, 100), (7, 1), None])
    system, component = source or (random_source.randrange(256), random_source.randrange(256))
    header = bytes((0xFD, len(payload), 0, 0, random_source.randrange(256), system, component))
    header += message_id.to_bytes(3, "little")
    checksum = dialect.x25crc(header[1:] + payload + bytes((kind.crc_extra,))).crc
    return header + bytes(payload) + checksum.to_bytes(2, "little")


def chunk(random_source):
    if random_source.random() < 0.5:
        return random_source.randbytes(random_source.randrange(1, 1200))
    ids = list(dialect.mavlink_map)
    commands = [dialect.MAVLINK_MSG_ID_COMMAND_LONG, dialect.MAVLINK_MSG_ID_COMMAND_INT, 0, 111, 256]
    return b"".join(
        valid_frame(random_source.choice(commands if random_source.random() < 0.3 else ids), random_source)
        for _ in range(random_source.randrange(1, 8))
    )


def outlet(target):
    """A function that sends bytes to an endpoint and never waits long."""
    kind, _, value = target.partition(":")
    if kind == "fd":
        descriptor = int(value)
        os.set_blocking(descriptor, False)
        return lambda data: os.write(descriptor, data)
    if kind == "udp":
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        return lambda data: udp.sendto(data, ("127.0.0.1", int(value)))
    tcp = socket.create_connection(("127.0.0.1", int(value)), timeout=0.1)
    return tcp.sendall


def main(seconds, seed, *targets):
    random_source = random.Random(int(seed))
    outlets = {target: outlet(target) for target in targets}
    sent = dict.fromkeys(targets, 0)
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < float(seconds):
        for target, send in outlets.items():
            if sent[target] > elapsed * BYTES_PER_S:
                continue
            data = chunk(random_source)
            with suppress(OSError):
                send(data)
            sent[target] += len(data)
        time.sleep(0.002)
    print(sum(sent.values()))


if __name__ == "__main__":
    main(*sys.argv[1:])
