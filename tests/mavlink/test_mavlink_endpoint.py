"""The endpoint grammar: what is accepted, what it means, and one line for everything else."""

import pytest

from edge_rgbt.errors import UsageError
from edge_rgbt.mavlink.endpoint import Endpoint, parse_endpoint


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("udpout:127.0.0.1:14550", Endpoint("udpout", host="127.0.0.1", port=14550)),
        ("udpin:0.0.0.0:14551", Endpoint("udpin", host="0.0.0.0", port=14551)),
        ("tcp:drone.local:5760", Endpoint("tcp", host="drone.local", port=5760)),
        ("tcpin:[::1]:5760", Endpoint("tcpin", host="::1", port=5760)),
        ("serial:/dev/ttyTHS1", Endpoint("serial", device="/dev/ttyTHS1", baud=921600)),
        ("serial:/dev/ttyUSB0:57600", Endpoint("serial", device="/dev/ttyUSB0", baud=57600)),
        (
            "serial:/dev/ttyS1:3000000,rtscts",
            Endpoint("serial", device="/dev/ttyS1", baud=3000000, rtscts=True),
        ),
        (
            "serial:/dev/serial/by-path/usb-0:3:1.0-port0",
            Endpoint("serial", device="/dev/serial/by-path/usb-0:3:1.0-port0"),
        ),
    ],
)
def test_every_form_of_the_grammar_is_read(url, expected):
    assert parse_endpoint(url) == expected


@pytest.mark.parametrize("url", ["udpout:[fe80::1]:14550", "tcp:host:1", "serial:/dev/ttyS0:115200,rtscts"])
def test_an_endpoint_prints_as_the_url_it_came_from(url):
    assert str(parse_endpoint(url)) == url


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "expected"),
        ("14550", "expected"),
        ("udp:127.0.0.1:14550", "expected"),
        ("udpin:14550", "host or port is missing"),
        ("udpin::14550", "host or port is missing"),
        ("udpout:127.0.0.1", "host or port is missing"),
        ("udpout:127.0.0.1:", "port ''"),
        ("udpout:127.0.0.1:0", "port '0'"),
        ("udpout:127.0.0.1:65536", "port '65536'"),
        ("udpout:127.0.0.1:-1", "port '-1'"),
        ("udpout:127.0.0.1:٣", "port"),
        ("udpout:::1:14550", "brackets"),
        ("tcp:[::1:5760", "IPv6"),
        ("udpout:a b:1", "not a host"),
        ("udpout://127.0.0.1:14550", "not a host"),
        ("serial:", "device is missing"),
        ("serial::57600", "device is missing"),
        ("serial:/dev/ttyS0:fast", "baud rate 'fast'"),
        ("serial:/dev/ttyS0:57600,xonxoff", "xonxoff"),
    ],
)
def test_anything_else_is_one_line_that_names_the_url(url, complaint):
    with pytest.raises(UsageError) as caught:
        parse_endpoint(url)
    text = str(caught.value)
    assert f"'{url}'" in text
    assert complaint in text
    assert "\n" not in text
