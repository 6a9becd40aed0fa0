"""The [mavlink] tables: what they mean, and the place of every fault (section 11)."""

import pytest

from edge_rgbt.mavlink.settings import MavlinkSettings
from edge_rgbt.mavlink.sources import SourcePolicy
from edge_rgbt.settings import SettingsError, build_settings, tomllib

AS_PUBLISHED = """
sysid = "auto"
camera_compid = 100
companion = true
coasting = true
report_point = false
image_status_hz = 5
geo_status_hz = 2
[[endpoint]]
url = "serial:/dev/ttyTHS1:921600"
role = "autopilot"
[[endpoint]]
url = "udpout:192.168.1.20:14550"
role = "gcs"
[signing]
mode = "off"
key_file = ""
"""


def read(text):
    return build_settings(MavlinkSettings, tomllib.loads(text), "drone.toml", "mavlink.")


def test_the_published_example_is_read():
    settings = read(AS_PUBLISHED)
    assert [one.role for one in settings.endpoints] == ["autopilot", "gcs"]
    assert settings.vehicle_system is None
    assert settings.companion


def test_the_short_form_names_endpoints_for_anybody():
    settings = read('url = ["udpout:127.0.0.1:14550", "tcp:127.0.0.1:5760"]\nsysid = 7')
    assert [(one.url, one.role) for one in settings.endpoints] == [
        ("udpout:127.0.0.1:14550", "any"),
        ("tcp:127.0.0.1:5760", "any"),
    ]
    assert settings.vehicle_system == 7


def test_nothing_at_all_is_the_ground_station_on_this_machine():
    assert [one.url for one in read("").endpoints] == ["udpout:127.0.0.1:14550"]


@pytest.mark.parametrize(
    ("url", "cap"),
    [
        ("serial:/dev/ttyS0:57600", 1500),
        ("serial:/dev/ttyS0:115200", 1500),
        ("serial:/dev/ttyS0", 20_000),
        ("udpout:127.0.0.1:14550", 20_000),
    ],
)
def test_slow_lines_are_spared(url, cap):
    assert read(f'[[endpoint]]\nurl = "{url}"').endpoints[0].bytes_per_s == cap


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("sisid = 1", "unknown key mavlink.sisid; did you mean mavlink.sysid?"),
        ('[[endpoint]]\nurl = "tcp:a:1"\nrol = "gcs"', "unknown key mavlink.endpoint[0].rol"),
        ('[[endpoint]]\nurl = "tcp:a:1"\nrole = "pilot"', "mavlink.endpoint[0].role is 'pilot'"),
        ('[[endpoint]]\nurl = "tcp:a:0"', "mavlink.endpoint[0]: MAVLink endpoint 'tcp:a:0': port"),
        ('[[endpoint]]\nurl = "tcp:a:1"\nmax_bytes_per_s = 5', "mavlink.endpoint[0]: max_bytes_per_s is 5"),
        ('url = ["tcp:a:1", "14550"]', "mavlink: url[1]: MAVLink endpoint '14550'"),
        ('url = ["tcp:a:1", "tcp:a:1"]', "mavlink: url[1] is 'tcp:a:1', the same endpoint as url[0]"),
        (
            'url = ["serial:/dev/ttyS0"]\n[[endpoint]]\nurl = "serial:/dev/ttyS0:57600"',
            "endpoint[0].url is 'serial:/dev/ttyS0:57600', the same endpoint as url[0]",
        ),
        ("sysid = 255", "mavlink: sysid is 255"),
        ("sysid = 0", "mavlink: sysid is 0"),
        ('sysid = "learn"', "mavlink.sysid is 'learn', expected a whole number or one of 'auto'"),
        ("camera_compid = 190", "component id 190"),
        ("camera_compid = 99", "component id 99"),
        ("sysid = 200", "beacon"),
        ("image_status_hz = 51", "mavlink: image_status_hz is 51"),
        ('[signing]\nmode = "sign"', "mavlink.signing: mode is 'sign', which needs key_file"),
        ('[signing]\nmode = "maybe"', "mavlink.signing.mode is 'maybe'"),
        ('[signing]\nkey_file = "a"\npassphrase_file = "b"', "mavlink.signing: key_file and"),
        ("[signing]\nprovisioning = true", "mavlink.signing: provisioning needs key_file"),
        ('[[endpoint]]\nurl = "tcp:a:1"\nsigning = "require"', "endpoint[0].signing is 'require'"),
        ("allow_sources = [[256, 190]]", "mavlink: allow_sources[0] is [256, 190]"),
        ('allow_networks = ["10.0.0.1/8"]', "mavlink: allow_networks[0]"),
        ('[[endpoint]]\nurl = "tcp:a:1"\nrole = "gcs"', 'mavlink: sysid is "auto", but no endpoint'),
    ],
)
def test_a_fault_is_one_line_with_its_place(text, place):
    with pytest.raises(SettingsError) as caught:
        read(text)
    (fault,) = caught.value.faults
    assert fault.startswith("drone.toml: ")
    assert place in fault


def test_without_lists_everybody_may_start_tracking_r_sec_5():
    assert SourcePolicy().allows((33, 1), "203.0.113.9", "udpin:[::]:14550")


@pytest.mark.parametrize(
    ("sender", "address", "allowed"),
    [
        ((255, 190), "192.168.1.7", True),
        ((255, 190), "::ffff:192.168.1.7", True),
        ((255, 190), "192.168.2.7", False),
        ((254, 190), "192.168.1.7", False),
        ((10, 33), "192.168.1.7", True),
        ((255, 190), "fd00::5%wlan0", True),
        ((255, 190), "fe80::5", False),
        ((255, 190), "", True),
        ((255, 191), "", False),
        ((255, 190), "somewhere", False),
    ],
)
def test_only_named_sources_from_named_networks_may_start_tracking_r_sec_5(sender, address, allowed, caplog):
    policy = SourcePolicy([(255, 190), (10, 0)], ["192.168.1.0/24", "fd00::/8"])
    for _ in range(3):
        assert policy.allows(sender, address, "udpin:0.0.0.0:14550") is allowed
    assert policy.refused == (0 if allowed else 3)
    assert len(caplog.records) == (0 if allowed else 1)
