"""How long the service takes from process start to READY=1, as systemd hears it.

python benchmarks/start_up.py --runs 9
python benchmarks/start_up.py --imports     # what the time of importing goes to
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from played_pair import write_played_pair

from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.machine import describe_machine

_PATIENCE_S = 60.0
_LISTED = 15


def start(config: Path, place: Path) -> tuple[float, float]:
    """Seconds from process start to READY=1, and those of processor time that it took until then."""
    address = str(place / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(_PATIENCE_S)
        began_s = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "edge_rgbt", "run", "--config", str(config)],
            env={**os.environ, "NOTIFY_SOCKET": address},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not listener.recv(4096).startswith(b"READY=1"):
                pass
            ready_s = time.monotonic() - began_s
            cpu_s = _cpu_s(process.pid)
        except TimeoutError:
            raise EdgeRgbtError(f"the service was not ready in {_PATIENCE_S:g} s") from None
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_PATIENCE_S)
            os.unlink(address)
    return ready_s, cpu_s


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def imports(config: Path) -> str:
    """The modules that take longest to import, with what they import, in microseconds."""
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "edge_rgbt",
        "run",
        "--config",
        str(config),
        "--check",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split("|") for line in done.stderr.splitlines() if line.startswith("import time:")]
    times = [(int(row[1]), row[2].strip()) for row in rows if row[1].strip().isdigit()]
    return "\n".join(f"{us:>9} {name}" for us, name in sorted(times, reverse=True)[:_LISTED])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument(
        "--config", type=Path, help="default: both cameras played, recording, MAVLink over UDP"
    )
    parser.add_argument("--imports", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="start-") as folder:
        place = Path(folder)
        config = args.config or write_played_pair(place / "played", 1.0)
        if args.imports:
            print(imports(config))
            return 0
        found = [start(config, place) for _ in range(args.runs)]
    ready, cpu = zip(*found, strict=True)
    result = {
        "ready_s_median": round(statistics.median(ready), 3),
        "ready_s_worst": round(max(ready), 3),
        "cpu_s_median": round(statistics.median(cpu), 3),
        "runs": args.runs,
        "machine": describe_machine(),
    }
    print(json.dumps(result, indent=2) if args.json else result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
