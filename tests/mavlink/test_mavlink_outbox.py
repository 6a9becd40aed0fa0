"""What waits for a slow line: order, bounds and budget (R-EP-6, section 5.4)."""

from pymavlink.dialects.v20 import common as dialect

from edge_rgbt.mavlink.exchange import Priority
from edge_rgbt.mavlink.identity import Identity
from edge_rgbt.mavlink.outbox import Budget, Outbox, Parcel

CAMERA, COMPANION = Identity(1, 100), Identity(1, 191)
S = 1_000_000_000
SIZE = {Priority.ACK: 22, Priority.HEARTBEAT: 21, Priority.ONE_SHOT: 249, Priority.STATUS: 43}


def parcel(priority, message=None, latest_wins=False, identity=CAMERA, peer=None):
    message = message or dialect.MAVLink_heartbeat_message(30, 8, 0, 0, 3, 3)
    return Parcel(priority, identity, message, latest_wins, peer)


def box(bytes_per_s=1e9, capacity=256):
    return Outbox(bytes_per_s, capacity)


def drain(outbox, now_ns=10**18):
    taken = []
    while (one := outbox.take(now_ns)) is not None:
        taken.append(one)
    return taken


def named(name, value=0.0):
    return dialect.MAVLink_named_value_float_message(0, name, value)


def test_acknowledgements_go_before_heartbeats_before_all_else_r_ep_6():
    outbox = box()
    for priority in reversed(Priority):
        outbox.put(parcel(priority))
    assert [one.priority for one in drain(outbox)] == sorted(Priority)


def test_of_one_priority_the_oldest_goes_first_r_ep_6():
    outbox = box()
    for value in range(5):
        outbox.put(parcel(Priority.ONE_SHOT, named(b"x", value)))
    assert [one.message.value for one in drain(outbox)] == [0, 1, 2, 3, 4]


def test_a_status_never_waits_twice_r_ep_6():
    outbox = box()
    for value in range(5):
        outbox.put(parcel(Priority.STATUS, named(b"x", value), latest_wins=True))
    assert [one.message.value for one in drain(outbox)] == [4]
    assert outbox.dropped == 4


def test_what_is_not_the_same_is_not_replaced_r_ep_6():
    outbox = box()
    for message in (named(b"fps"), named(b"conf")):
        for identity in (CAMERA, COMPANION):
            for peer in (None, ("192.0.2.1", 1)):
                outbox.put(parcel(Priority.STATUS, message, True, identity, peer))
    assert len(outbox) == 8


def test_a_full_box_loses_the_oldest_of_the_least_important_r_ep_6():
    outbox = box(capacity=3)
    for value in range(3):
        outbox.put(parcel(Priority.DIAGNOSTIC, named(b"x", value)))
    outbox.put(parcel(Priority.ACK))
    outbox.put(parcel(Priority.STATUS))
    assert len(outbox) == 3
    kept = drain(outbox)
    assert [one.priority for one in kept] == [Priority.ACK, Priority.STATUS, Priority.DIAGNOSTIC]
    assert kept[-1].message.value == 2
    assert outbox.dropped == 2


def test_a_flood_of_answers_is_bounded_r_ep_6():
    outbox = box()
    for _ in range(10_000):
        outbox.put(parcel(Priority.ACK))
    assert len(outbox) == 256


def test_a_lost_link_forgets_answers_but_not_streams_r_ep_8():
    outbox = box()
    for priority in Priority:
        outbox.put(parcel(priority))
    outbox.clear_one_shots()
    kept = {one.priority for one in drain(outbox)}
    assert kept == set(Priority) - {Priority.ACK, Priority.ONE_SHOT}


def passed(bytes_per_s, offers, seconds=20):
    """Bytes per priority that a budget lets through, each offered so many times a second."""
    budget, sent = Budget(bytes_per_s, 0), dict.fromkeys(offers, 0)
    due = dict.fromkeys(offers, 0.0)
    for tick in range(seconds * 100):
        for priority in sorted(offers):
            while due[priority] <= tick / 100:
                due[priority] += 1 / offers[priority]
                if budget.allows(priority, tick * S // 100):
                    budget.spend(SIZE[priority])
                    sent[priority] += SIZE[priority]
    return {priority: total / seconds for priority, total in sent.items()}


def test_everything_passes_below_the_cap():
    offers = {Priority.HEARTBEAT: 1, Priority.STATUS: 20}
    assert passed(1500, offers)[Priority.STATUS] == 20 * SIZE[Priority.STATUS]


def test_the_streams_are_held_to_the_cap():
    sent = passed(1500, {Priority.HEARTBEAT: 1, Priority.STATUS: 50})
    assert 1300 < sum(sent.values()) < 1560


def test_streams_give_way_to_what_was_asked_for():
    sent = passed(1500, {Priority.ONE_SHOT: 5, Priority.STATUS: 50})
    assert sent[Priority.ONE_SHOT] == 5 * SIZE[Priority.ONE_SHOT]
    assert 50 < sent[Priority.STATUS] < 400


def test_acknowledgements_are_never_held_back():
    sent = passed(200, {Priority.ACK: 50, Priority.HEARTBEAT: 1, Priority.STATUS: 50})
    assert sent[Priority.ACK] == 50 * SIZE[Priority.ACK]
    assert sent[Priority.HEARTBEAT] == SIZE[Priority.HEARTBEAT]


def test_streams_come_back_soon_after_a_burst_of_answers():
    budget = Budget(1500, 0)
    for _ in range(1000):
        budget.spend(SIZE[Priority.ACK])
    assert not budget.allows(Priority.STATUS, 0)
    assert budget.allows(Priority.STATUS, 1 * S)
