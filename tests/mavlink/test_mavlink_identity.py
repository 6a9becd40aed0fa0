"""Who we may be on the network (R-ID-1, R-ID-2, R-ID-3, R-ID-5)."""

import pytest

from edge_rgbt.errors import UsageError
from edge_rgbt.mavlink.identity import Identity, SystemIdLearner, camera_identity


@pytest.mark.parametrize(("system", "component"), [(255, 100), (0, 100), (251, 100), (1, 190), (1, 0)])
def test_ids_of_a_ground_station_are_refused_r_id_3(system, component):
    with pytest.raises(UsageError):
        Identity(system, component)


@pytest.mark.parametrize("component", [99, 106, 191])
def test_a_camera_that_ground_stations_cannot_see_is_refused_r_id_5(component):
    with pytest.raises(UsageError, match="100 to 105"):
        camera_identity(1, component)


def test_an_odd_camera_component_can_be_forced_r_id_5():
    assert camera_identity(7, 110, allow_odd_component=True) == Identity(7, 110)


def test_the_system_id_comes_from_the_first_autopilot_r_id_1():
    learner = SystemIdLearner()
    learner.heard(9, 190, 8, 0.0)  # a ground station
    learner.heard(9, 1, 8, 0.0)  # compid 1, but no autopilot
    learner.heard(255, 1, 3, 0.0)
    assert learner.system is None
    learner.heard(7, 1, 3, 0.0)
    assert learner.system == 7


def test_another_vehicle_is_ignored_until_ours_was_silent_for_ten_seconds_r_id_2():
    learner = SystemIdLearner()
    learner.heard(7, 1, 3, 0.0)
    learner.heard(8, 1, 3, 1.0)
    assert learner.system == 7
    learner.heard(7, 1, 3, 5.0)
    learner.heard(8, 1, 3, 14.0)
    assert learner.system == 7
    learner.heard(8, 1, 3, 15.5)
    assert learner.system == 8
