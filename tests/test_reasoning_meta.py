"""Meta actions of paths whose speed and curvature are known, and paths held to what decisions say."""

from __future__ import annotations

import numpy as np
import pytest

from cordillera.geometry import quat_from_euler
from cordillera.reasoning.keyframes import keyframes
from cordillera.reasoning.match import does_lateral, does_longitudinal
from cordillera.reasoning.meta import LateralMeta, LongitudinalMeta, meta_actions, motion_of, segments
from cordillera.types import (
    Agents,
    Cause,
    Controls,
    Decision,
    DriveOutput,
    EgoState,
    Float,
    Lateral,
    LightState,
    Longitudinal,
    ReasoningTrace,
    Rollout,
    Route,
    Scenario,
    Step,
    Trajectory,
    Verdict,
    WorldState,
)
from cordillera.world.world import empty_agents

FINE = 0.001  # s, of the integration; the path is every hundredth step


def drive(speed, curvature=lambda t: 0.0, seconds: float = 6.4) -> Trajectory:
    """Speed and curvature over time -> the path at 10 Hz, by integration in small steps."""
    t = np.arange(0.0, seconds, FINE)
    v, k = np.array([speed(x) for x in t]), np.array([curvature(x) for x in t])
    yaw = np.concatenate([[0.0], np.cumsum(v * k * FINE)])[:-1]
    x, y = np.cumsum(v * np.cos(yaw) * FINE), np.cumsum(v * np.sin(yaw) * FINE)
    rows = slice(None, None, 100)
    quat = np.stack([quat_from_euler(0.0, 0.0, float(a)) for a in yaw[rows]])
    xyz = np.column_stack([x[rows], y[rows], np.zeros(len(x[rows]))])
    return Trajectory((np.arange(len(xyz)) * 100_000).astype(np.int64), xyz, quat, "world")


def runs(path: Trajectory) -> tuple[list[LongitudinalMeta], list[LateralMeta]]:
    found = meta_actions(path)
    along = [s.action for s in found.longitudinal_segments]
    return along, [s.action for s in found.lateral_segments]  # type: ignore[return-value]


def test_motion_is_that_of_the_path():
    motion = motion_of(drive(lambda t: 5.0 + 1.0 * t, lambda t: 0.02))
    inner = slice(4, -4)
    assert np.allclose(motion.accel_mps2[inner], 1.0, atol=0.02)
    assert np.allclose(motion.turn_radpm[inner], 0.02, atol=2e-4)
    assert np.allclose(motion.speed_mps[inner], 5.0 + 0.1 * np.arange(64)[inner], atol=0.03)
    with pytest.raises(ValueError, match="at least 3"):
        motion_of(drive(lambda t: 5.0, seconds=0.2))


@pytest.mark.parametrize(
    ("accel", "action"),
    [
        (0.10, LongitudinalMeta.MAINTAIN), (0.20, LongitudinalMeta.GENTLE_ACCELERATE),
        (1.30, LongitudinalMeta.GENTLE_ACCELERATE), (1.50, LongitudinalMeta.STRONG_ACCELERATE),
        (-0.10, LongitudinalMeta.MAINTAIN), (-0.20, LongitudinalMeta.GENTLE_DECELERATE),
        (-1.50, LongitudinalMeta.STRONG_DECELERATE),
    ],
)  # fmt: skip
def test_thresholds_of_acceleration(accel: float, action: LongitudinalMeta):
    assert runs(drive(lambda t: 12.0 + accel * t))[0] == [action]


def test_stop_and_reverse():
    assert runs(drive(lambda t: 0.0)) == ([LongitudinalMeta.STOP], [LateralMeta.STRAIGHT])
    assert runs(drive(lambda t: -1.0))[0] == [LongitudinalMeta.REVERSE]
    assert runs(drive(lambda t: max(6.0 - 2.0 * t, 0.0)))[0] == [
        LongitudinalMeta.STRONG_DECELERATE, LongitudinalMeta.STOP,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("curvature", "action"),
    [
        (0.001, LateralMeta.STRAIGHT), (0.003, LateralMeta.LEFT), (-0.003, LateralMeta.RIGHT),
        (0.06, LateralMeta.SHARP_LEFT), (-0.06, LateralMeta.SHARP_RIGHT),
    ],
)  # fmt: skip
def test_thresholds_of_steering(curvature: float, action: LateralMeta):
    assert runs(drive(lambda t: 8.0, lambda t: curvature))[1] == [action]


def test_backing_to_the_left_turns_the_heading_right():
    path = drive(lambda t: -2.0, lambda t: 0.05)  # backwards along a left-hand circle: the heading falls
    assert np.all(np.diff(motion_of(path).yaw_rad) < 0.0)
    assert runs(path)[1] == [LateralMeta.REVERSE_LEFT]


def test_a_shift_to_the_left_and_back_to_straight_is_left_then_right():
    wave = lambda t: 0.01 * np.sin(2.0 * np.pi * t / 6.4)  # noqa: E731
    assert runs(drive(lambda t: 10.0, wave))[1] == [LateralMeta.LEFT, LateralMeta.RIGHT]


def test_short_segments_join_their_longer_neighbour_and_segments_cover_all_ticks():
    blip = lambda t: 10.0 - (1.0 if 3.0 < t < 3.3 else 0.0) * (t - 3.0)  # noqa: E731
    found = meta_actions(drive(blip))
    assert all(s.last - s.first >= 8 for s in (*found.longitudinal_segments, *found.lateral_segments))
    assert sum(s.last - s.first for s in found.longitudinal_segments) == 64
    assert segments(()) == ()


# ------------------------------------------------------------------ words and path

CRUISE = drive(lambda t: 10.0)
BRAKE = drive(lambda t: max(10.0 - 2.0 * t, 0.0))
STAND = drive(lambda t: 0.0)
GO = drive(lambda t: min(1.5 * t, 9.0))
LEFT = drive(lambda t: 6.0, lambda t: 0.06)


@pytest.mark.parametrize(
    ("decision", "does", "does_not"),
    [
        (Longitudinal.STOP, (BRAKE, STAND), (CRUISE, GO)),
        (Longitudinal.YIELD, (BRAKE, STAND), (CRUISE, GO)),
        (Longitudinal.OVERTAKE, (GO,), (CRUISE, BRAKE, STAND)),
        (Longitudinal.SET_SPEED, (CRUISE, GO), (BRAKE, STAND)),
        (Longitudinal.SPEED_ADAPTATION, (CRUISE, BRAKE), (STAND,)),
        (Longitudinal.FOLLOW_LEAD, (CRUISE, BRAKE, STAND, GO), (drive(lambda t: -2.0),)),
        (None, (CRUISE, BRAKE, STAND, GO), ()),
    ],
)
def test_a_path_does_what_is_said_of_its_speed(decision, does, does_not):
    assert [does_longitudinal(decision, path) for path in does] == [True] * len(does)
    assert [does_longitudinal(decision, path) for path in does_not] == [False] * len(does_not)


def shift(metres: float) -> tuple[Trajectory, Float]:
    return CRUISE, metres * np.linspace(0.0, 1.0, 64)


def test_a_path_goes_where_it_is_said_to_go():
    assert does_lateral(Lateral.TURN, "left", LEFT) and not does_lateral(Lateral.TURN, "right", LEFT)
    assert not does_lateral(Lateral.TURN, "left", CRUISE) and does_lateral(Lateral.TURN, "left", STAND)
    assert does_lateral(Lateral.LANE_KEEPING, "", CRUISE) and not does_lateral(Lateral.LANE_KEEPING, "", LEFT)
    assert does_lateral(Lateral.LANE_KEEPING, "", LEFT, np.zeros(64)), "the lane bends, and the path with it"
    assert does_lateral(Lateral.LANE_CHANGE, "left", *shift(3.5)) and not does_lateral(
        Lateral.LANE_CHANGE, "right", *shift(3.5)
    )
    assert does_lateral(Lateral.IN_LANE_NUDGE, "right", *shift(-0.5))
    assert not does_lateral(Lateral.IN_LANE_NUDGE, "right", *shift(0.5))
    assert not does_lateral(Lateral.IN_LANE_NUDGE, "left", *shift(2.5))
    assert does_lateral(Lateral.OUT_OF_LANE_NUDGE, "left", *shift(1.5))
    assert does_lateral(None, "", LEFT)


# ------------------------------------------------------------------ keyframes


def recorded(speeds, traces, signals=None, agents=None) -> Rollout:
    """Speeds, traces and light states at 10 Hz -> a rollout on a straight road."""
    x = np.concatenate([[0.0], np.cumsum(np.asarray(speeds) * 0.1)])
    states = []
    for k, v in enumerate((*speeds, speeds[-1])):
        ego = EgoState(k * 100_000, np.array([x[k], 0.0, 0.0]), np.array([0.0, 0.0, 0.0, 1.0]), np.array([v, 0.0, 0.0]))
        lit = np.array([signals[min(k, len(signals) - 1)]] if signals else [], dtype=np.int64)
        states.append(WorldState(k * 100_000, ego, agents(k) if agents else empty_agents(), lit))
    plan = Trajectory(np.array([0]), np.zeros((1, 3)), np.zeros((1, 4)), "rig")
    steps = tuple(
        Step(state, DriveOutput(Decision(plan, (), trace, "test", 0.0), Controls(0.0, 0.0), Verdict("pass")))
        for state, trace in zip(states[:-1], traces, strict=True)
    )
    scenario = Scenario("t", 0, "DE", "", "", states[0], Route(np.zeros((2, 3))), 1.0)
    return Rollout(scenario, steps, states[-1], "duration")


def told(longitudinal, kind, target, relation, lateral=None) -> ReasoningTrace:
    return ReasoningTrace(longitudinal, lateral, (Cause(kind, target, relation, 0, axis="longitudinal"),), "", "test")


FREE = told(Longitudinal.SET_SPEED, "speed limit", "lane:0", "sets the speed")
RED = told(Longitudinal.STOP, "traffic light", "signal:0", "red at the stop line ahead")
SLOWS = [10.0] * 40 + [max(10.0 - 0.2 * k, 0.0) for k in range(60)] + [0.0] * 20 + [0.15 * k for k in range(40)]


def test_a_stop_at_a_light_is_decided_half_a_second_before_or_when_it_turns():
    traces = [FREE] * 38 + [RED] * 82 + [FREE] * 40
    early = keyframes(recorded(SLOWS, traces, [LightState.RED] * 160))
    stop = next(k for k in early if k.event == "stop for light")
    assert stop.reactive and 3_300_000 <= stop.t0_us <= 3_700_000, (
        "0.5 s before the onset at 4.0 s, within a tick or two"
    )
    late = keyframes(recorded(SLOWS, traces, [LightState.GREEN] * 38 + [LightState.RED] * 122))
    assert next(k for k in late if k.event == "stop for light").t0_us == 3_800_000
    resume = next(k for k in early if k.event == "resume")
    assert 11_300_000 <= resume.t0_us <= 11_900_000


def test_slowing_is_named_by_who_it_is_for():
    for trace, event in (
        (told(Longitudinal.FOLLOW_LEAD, "lead vehicle", "agent:1", "ahead in the ego lane"), "slow or stop for lead"),
        (told(Longitudinal.YIELD, "pedestrian", "agent:1", "on the crossing ahead"), "yield to vulnerable road user"),
        (told(Longitudinal.STOP, "stop sign", "signal:0", "regulates the lane ahead"), "stop for sign"),
    ):
        assert event in {k.event for k in keyframes(recorded(SLOWS, [trace] * 160))}
        assert event not in {k.event for k in keyframes(recorded([10.0] * 160, [trace] * 160))}, "nothing changes"


def test_a_cut_in_begins_with_the_blinker_or_the_first_move_aside():
    cut = told(Longitudinal.FOLLOW_LEAD, "cut-in vehicle", "agent:5", "moving into the ego lane from the left")

    def agents(k: int) -> Agents:
        one = np.ones(1, dtype=np.int64)
        aside = 0.0 if k < 20 else 0.05 * (k - 20)  # past 0.3 m from tick 27 on
        return Agents(
            5 * one, 0 * one, np.zeros((1, 3)), np.zeros(1), np.zeros(1), np.zeros(1), np.ones((1, 3)), 0 * one,
            np.zeros(1), one > 0, blinker=one * (k >= 24), lateral_m=np.array([aside]),
        )  # fmt: skip

    found = keyframes(recorded([10.0] * 60, [FREE] * 30 + [cut] * 30, agents=agents))
    assert [(k.event, k.t0_us) for k in found] == [("cut-in", 2_400_000)]


def test_proactive_keyframes_are_ranges():
    curve = told(Longitudinal.SPEED_ADAPTATION, "curve", "lane:0", "bends to the left")
    found = keyframes(recorded([10.0] * 60, [FREE] * 20 + [curve] * 30 + [FREE] * 10))
    assert [(k.event, k.t0_us, k.t1_us, k.reactive) for k in found] == [("curvy road", 2_000_000, 4_900_000, False)]
