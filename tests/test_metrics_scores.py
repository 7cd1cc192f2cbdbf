"""The published scores on drives whose measures can be worked out by hand."""

import dataclasses

import numpy as np
import pytest
from metric_drives import ROAD, Other, drive, light_road, steady
from test_metrics_plan import plan, with_plans

from cordillera.evaluate.metrics import all_metrics
from cordillera.evaluate.metrics_progress import possible_m
from cordillera.evaluate.metrics_scores import (
    alpasim_score,
    bench2drive_success,
    driving_events,
    driving_score,
    epdm_score,
    nuplan_score,
    pdm_score,
)
from cordillera.types import AgentKind, LightState

N = 101
T = 0.1 * np.arange(N)
RED = [int(LightState.RED)] * N
LIMIT = ROAD.lanes[0].speed_limit_mps
BEHIND = Other(-4.0 + 13.0 * T, speed=13.0)  # strikes the ego's rear
PERSON = {"kind": int(AgentKind.PEDESTRIAN), "size": (0.5, 0.5, 1.8)}


def fixed(**more):
    """10 s at 10 m/s, with plans that say just that."""
    return with_plans(steady(n=N, **more), lambda k: (plan(10.0), ()))


@pytest.mark.parametrize(("reference", "score"), [(100.0, 1.0), (125.0, 1.0), (200.0, 0.5 / 0.8), (4.9, 1.0)])
def test_alpasim_score_is_progress_over_four_fifths(reference, score):
    assert alpasim_score(fixed(), ROAD, reference).value == pytest.approx(score)
    assert alpasim_score(fixed(), ROAD).value == pytest.approx(min(100.0 / possible_m(fixed(), ROAD) / 0.8, 1.0))


def test_alpasim_score_is_zero_for_front_and_side_but_not_for_the_rear():
    assert alpasim_score(fixed(others=[Other(60.0)]), ROAD, 100.0).value == 0.0
    assert alpasim_score(fixed(others=[BEHIND]), ROAD, 100.0).value == 1.0
    for others in ((Other(90.0), BEHIND), (BEHIND, Other(90.0))):  # whatever their order and their time
        assert alpasim_score(fixed(others=others), ROAD, 100.0).value == 0.0
    assert alpasim_score(fixed(lateral=np.full(N, -9.0)), ROAD, 100.0).value == 0.0


def test_a_short_reference_counts_as_full_progress():
    still = drive(np.full(N, 20.0), np.zeros(N))
    assert alpasim_score(still, ROAD, 4.9).value == 1.0 and alpasim_score(still, ROAD, 5.1).value == 0.0


def test_without_a_map_there_is_no_alpasim_score():
    """AlpaSim reads a missing map as never off the road."""
    kerb = [dataclasses.replace(lane, kind="sidewalk") for lane in ROAD.lanes]
    bare = dataclasses.replace(ROAD, lanes=tuple(kerb))
    assert not alpasim_score(fixed(), bare, 100.0).valid
    assert not next(m for m in all_metrics(fixed(), bare) if m.name == "off road").valid


def test_nuplan_score_of_a_clean_drive():
    """Progress 100 of 125 m, the rest in full: (5 * 0.8 + 5 + 4 + 2) / 16."""
    assert nuplan_score(fixed(), ROAD, 125.0).value == pytest.approx(15.0 / 16.0)
    assert nuplan_score(fixed(), ROAD, 100.0).value == pytest.approx(1.0)
    assert nuplan_score(fixed(), ROAD, 499.0).value == pytest.approx((5.0 * 100.0 / 499.0 + 11.0) / 16.0 * 1.0 * 1.0)
    assert nuplan_score(fixed(), ROAD, 501.0).value == 0.0  # a ratio below 0.2


def test_nuplan_measures_one_by_one():
    fast = with_plans(steady(n=N, v=LIMIT + 1.115), lambda k: (plan(LIMIT + 1.115), ()))
    assert nuplan_score(fast, ROAD, 100.0).value == pytest.approx((5.0 + 5.0 + 4.0 * 0.5 + 2.0) / 16.0)
    # at 10 m/s, 9 m behind one at 1 m/s less: no contact for 9 s; behind one that stands it would be 0.9 s
    near = Other(20.0 + 3.865 + 9.0 + 2.0 + 9.99 * T, speed=0.0)
    assert nuplan_score(fixed(others=[near]), ROAD, 100.0).value == pytest.approx(11.0 / 16.0)
    rough = fixed(accel=np.where(T > 5.0, -4.1, 0.0))
    assert nuplan_score(rough, ROAD, 100.0).value == pytest.approx(14.0 / 16.0)


def test_nuplan_multipliers():
    assert nuplan_score(fixed(others=[Other(90.0)]), ROAD, 100.0).value == 0.0
    thing = Other(110.0, kind=int(AgentKind.CONE), size=(0.3, 0.3, 0.7))
    other = Other(115.0, kind=int(AgentKind.CONE), size=(0.3, 0.3, 0.7))
    # half for one thing; time to collision is lost as well
    assert nuplan_score(fixed(others=[thing]), ROAD, 100.0).value == pytest.approx(0.5 * 11.0 / 16.0)
    assert nuplan_score(fixed(others=[thing, other]), ROAD, 100.0).value == 0.0
    assert nuplan_score(fixed(others=[BEHIND]), ROAD, 100.0).value == pytest.approx(1.0)
    assert nuplan_score(fixed(lateral=np.full(N, -9.0)), ROAD, 100.0).value == 0.0
    for states, factor in ((2, 1.0), (5, 0.5), (9, 0.0)):  # metres against traffic in a second: 2, 5, 9
        lateral = np.where((np.arange(N) >= 50) & (np.arange(N) < 50 + states), 3.5, 0.0)
        assert nuplan_score(fixed(lateral=lateral), ROAD, 100.0).value == pytest.approx(factor)


def test_pdm_score_of_windows():
    """From 10 m/s a free driver makes, in 4 s, the way up to the limit and on: EP = 40 m over that."""
    spent = (LIMIT - 10.0) / 1.5
    free = 0.5 * (10.0 + LIMIT) * spent + LIMIT * (4.0 - spent)
    ep = 40.0 / free
    assert pdm_score(fixed(), ROAD).value == pytest.approx((5.0 * ep + 7.0) / 12.0, rel=2e-3)
    assert epdm_score(fixed(), ROAD).value == pytest.approx((5.0 * ep + 11.0) / 16.0, rel=2e-3)
    assert not pdm_score(steady(n=40), ROAD).valid and not epdm_score(steady(n=40), ROAD).valid


def parts(rollout, road_map=ROAD):
    """Both scores of a drive of one window, over those of a clean one."""
    clean = with_plans(steady(n=45), lambda k: (plan(10.0), ()))
    return (
        pdm_score(rollout, road_map).value / pdm_score(clean, ROAD).value,
        (epdm_score(clean, ROAD).value - epdm_score(rollout, road_map).value) * 16.0,
        epdm_score(rollout, road_map).value,
    )


def one_window(**more):
    return with_plans(steady(n=45, **more), lambda k: (plan(10.0), ()))


def test_epdm_adds_lights_lane_keeping_and_agreement_of_plans():
    assert parts(one_window()) == pytest.approx((1.0, 0.0, epdm_score(one_window(), ROAD).value))
    # 0.6 m from the centre for 2.1 s costs the 2 points of lane keeping; for 2.0 s it does not
    for states, lost in ((21, 2.0), (20, 0.0)):
        lateral = np.where((np.arange(45) >= 5) & (np.arange(45) < 5 + states), 0.6, 0.0)
        ratio, missing, _ = parts(one_window(lateral=lateral))
        assert missing == pytest.approx(lost) and ratio == pytest.approx(1.0)
    light = light_road(40.0)  # run after 1.6 s
    pdm, _, epdm = parts(one_window(signals=RED[:45]), light)
    assert pdm > 0.9 and epdm == 0.0
    jumping = with_plans(steady(n=45), lambda k: (plan(10.0 if k % 10 < 5 else 10.0 + 0.5 * k, 0.0), ()))
    assert parts(jumping)[1] == pytest.approx(0.0)  # other speeds alone are no other accelerations

    def braking(k):
        speed = np.maximum(10.0 - (0.8 if k % 10 < 5 else 0.0) * 0.1 * np.arange(1, 65), 0.0)
        trajectory = plan(10.0)
        xyz = np.column_stack([np.cumsum(0.1 * speed), np.zeros(64), np.zeros(64)])
        return dataclasses.replace(trajectory, xyz=xyz), ()

    ratio, missing, _ = parts(with_plans(steady(n=45), braking))
    assert missing == pytest.approx(2.0) and ratio == pytest.approx(1.0)


def test_pdm_loses_what_its_measures_lose():
    assert parts(one_window(others=[Other(60.0)]))[0] == 0.0  # collision
    assert parts(one_window(lateral=np.full(45, -9.0)))[0] == 0.0  # drivable area
    near = Other(20.0 + 3.865 + 9.0 + 2.0 + 9.99 * T, speed=0.0)
    # the free driver, too, would have to wait behind it: full progress, comfort, no time to collision
    assert pdm_score(one_window(others=[near]), ROAD).value == pytest.approx(7.0 / 12.0)


def test_driving_score_multiplies_penalties():
    done = 100.0 * 100.0 / 280.0  # of the route
    assert driving_score(fixed(), ROAD).value == pytest.approx(done, rel=1e-6)
    assert driving_score(fixed(signals=RED), light_road()).value == pytest.approx(done * 0.7, rel=1e-6)
    hit = fixed(others=[Other(60.0), Other(80.0), Other(100.0, **PERSON), Other(110.0, kind=int(AgentKind.BARRIER))])
    assert driving_events(hit, ROAD) == {
        "person": 1, "vehicle": 2, "thing": 1, "red light": 0, "stop sign": 0, "time-out": 0, "siren": 0,
    }  # fmt: skip
    assert driving_score(hit, ROAD).value == pytest.approx(done * 0.5 * 0.6**2 * 0.65, rel=1e-6)
    ambulance = Other(8.0 + 5.0 * 0.1 * np.arange(151), speed=5.0, kind=int(AgentKind.AMBULANCE))
    held = steady(n=151, v=5.0, others=[ambulance])
    assert driving_score(held, ROAD).value == pytest.approx(100.0 * 75.0 / 280.0 * 0.7, rel=1e-6)


def test_standing_for_four_minutes_is_a_time_out():
    still = drive(np.full(2402, 20.0), np.zeros(2402))
    assert driving_events(still, ROAD)["time-out"] == 1
    assert driving_events(drive(np.full(2399, 20.0), np.zeros(2399)), ROAD)["time-out"] == 0


def test_bench2drive_success_needs_the_whole_route_without_an_event():
    arrived = dataclasses.replace(fixed(), ended="arrived")
    assert bench2drive_success(arrived, ROAD).value == 1.0
    assert bench2drive_success(fixed(), ROAD).value == 0.0
    assert bench2drive_success(dataclasses.replace(fixed(signals=RED), ended="arrived"), light_road()).value == 0.0
    assert bench2drive_success(dataclasses.replace(fixed(others=[BEHIND]), ended="arrived"), ROAD).value == 0.0
