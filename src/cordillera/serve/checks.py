"""The checks of a driver service, in the order in which they are made. Each names what it saw, or the fault."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import grpc
import numpy as np

from cordillera.geometry import rotate
from cordillera.serve.check import Caller, FaultError, SkipError, apart_m, numbers_of, words_of
from cordillera.serve.check_scene import HISTORY
from cordillera.serve.wire import egodriver_pb2
from cordillera.serve.wire.services import DRIVER

NORM_SLACK = 1e-2
NEAR_M = 5.0  # a plan passes so near by the car at the time of the plan
SAME_M = 1e-3
HORIZON_S = 2.0
LATE = ((0,), (), (2, 1), (), (4,), (5, 3))  # the frames that come at each step


def start(caller: Caller) -> str:
    caller.end(caller.begin())
    return f"started and closed, with {len(caller.config.scene.cameras)} cameras declared"


def answers_calls(caller: Caller) -> str:
    caller.drive_ordinary()
    faults = [a for a in caller.ordinary if a.fault]
    if faults:
        raise FaultError(
            f"{len(faults)} of {len(caller.ordinary)} steps failed; step {faults[0].step}: {faults[0].fault}"
        )
    return f"{len(caller.ordinary)} steps of 0.1 s were answered"


def plan_has_poses(caller: Caller) -> str:
    counts = {step: len(r.trajectory.poses) for step, r in caller.answers()}
    short = [step for step, count in counts.items() if count < 2]
    if short:
        raise FaultError(f"the plan of step {short[0]} has {counts[short[0]]} poses ({len(short)} such steps)")
    return f"{min(counts.values())} to {max(counts.values())} poses a plan"


def plan_is_finite(caller: Caller) -> str:
    for step, response in caller.answers():
        _, xyz, quat = numbers_of(response)
        bad = ~np.isfinite(np.hstack([xyz, quat])).all(axis=1)
        if np.any(bad):
            raise FaultError(f"step {step}: {int(np.sum(bad))} of {len(xyz)} poses hold NaN or infinity")
    return "all numbers are finite"


def plan_begins_by_now(caller: Caller) -> str:
    for step, response in _planned(caller):
        late_s = (int(response.trajectory.poses[0].timestamp_us) - caller.config.scene.now_us(step)) * 1e-6
        if late_s > 0.0:
            raise FaultError(f"step {step}: the first pose is {late_s:.3f} s later than time_now_us")
    return "the first pose is not later than time_now_us"


def plan_reaches_on(caller: Caller) -> str:
    ends = []
    for step, response in _planned(caller):
        now = caller.config.scene.now_us(step)
        ends.append((max(int(p.timestamp_us) for p in response.trajectory.poses) - now) * 1e-6)
        if ends[-1] <= 0.0:
            raise FaultError(f"step {step}: the plan ends {-ends[-1]:.3f} s before time_now_us")
    return f"plans end {min(ends):.2f} to {max(ends):.2f} s from now"


def plan_is_long(caller: Caller) -> str:
    seen = plan_reaches_on(caller)
    for step, response in _planned(caller):
        end_s = (int(response.trajectory.poses[-1].timestamp_us) - caller.config.scene.now_us(step)) * 1e-6
        if end_s < HORIZON_S:
            raise FaultError(f"step {step}: the plan ends {end_s:.2f} s from now")
    return seen


def stamps_increase(caller: Caller) -> str:
    for step, response in _planned(caller):
        steps = np.diff(numbers_of(response)[0].astype(np.int64))
        if (steps <= 0).any():
            k = int(np.argmax(steps <= 0))
            raise FaultError(f"step {step}: poses {k} and {k + 1} are {int(steps[k])} us apart")
    return "stamps increase strictly"


def quaternions_are_unit(caller: Caller) -> str:
    worst = 0.0
    for step, response in _planned(caller):
        norms = np.linalg.norm(numbers_of(response)[2], axis=1)
        off = np.abs(norms - 1.0)
        if not (off <= NORM_SLACK).all():
            k = int(np.argmax(~(off <= NORM_SLACK)))
            raise FaultError(f"step {step}: the quaternion of pose {k} has length {norms[k]:.3f}")
        worst = max(worst, float(off.max()))
    return f"lengths differ from 1 by at most {worst:.1e}"


def plan_is_in_local(caller: Caller) -> str:
    scene, worst = caller.config.scene, 0.0
    for step, response in _planned(caller):
        t_us, xyz, _ = numbers_of(response)
        since = (t_us.astype(np.int64) - scene.now_us(step)).astype(np.float64)
        order = np.argsort(since)
        at = np.array([np.interp(0.0, since[order], xyz[order, d]) for d in range(3)])
        gap = float(np.linalg.norm(at - scene.pose(step)[0]))
        if not gap <= NEAR_M:
            where, car = np.round(at, 1).tolist(), np.round(scene.pose(step)[0], 1).tolist()
            raise FaultError(f"step {step}: at time_now_us the plan is at {where}, the car at {car} in the local frame")
        worst = max(worst, gap)
    return f"at time_now_us plans are within {worst:.2f} m of the car"


def plan_turns_with_local(caller: Caller) -> str:
    scene = caller.config.scene
    other = replace(scene, origin_local=(-40.0, 25.0, -3.0), yaw_local=-2.2)
    _repeatable(caller)
    answers = [caller.driven(2, scene=each)[-1] for each in (scene, other)]
    for answer in answers:
        _sound(answer)
    plans = [numbers_of(answer)[1] for answer in answers]
    if len(plans[0]) != len(plans[1]):
        raise FaultError(f"the plan has {len(plans[0])} poses in one local frame and {len(plans[1])} in another")
    rig = []
    for plan, each in zip(plans, (scene, other), strict=True):
        origin, quat = each.pose(1)
        rig.append(rotate(quat * np.array([-1.0, -1.0, -1.0, 1.0]), plan - origin))
    gap = float(np.abs(rig[0] - rig[1]).max())
    if not gap < 0.05:
        raise FaultError(f"seen from the car, the plan differs by {gap:.2f} m between two local frames")
    return f"the same plan in two local frames, to {gap * 1e3:.1f} mm"


def goes_on(caller: Caller) -> str:
    ended = [step for step, response in caller.answers() if response.terminate_session]
    if ended:
        raise FaultError(f"terminate_session was set at step {ended[0]} of a plain drive straight on")
    return "terminate_session stays unset"


def samples_are_filled(caller: Caller) -> str:
    counts = [len(response.debug_info.sampled_trajectories) for _, response in caller.answers()]
    if min(counts) == 0:
        raise FaultError(f"{counts.count(0)} of {len(counts)} answers have no sampled_trajectories")
    return f"{min(counts)} to {max(counts)} sampled trajectories an answer"


def notes_are_no_pickles(caller: Caller) -> str:
    notes = [response.debug_info.unstructured_debug_info for _, response in caller.answers()]
    if any(note[:1] == b"\x80" and note[1:2] in b"\x02\x03\x04\x05" and note.endswith(b".") for note in notes):
        raise FaultError("unstructured_debug_info is a pickle")
    return f"{max(map(len, notes))} bytes at most, and no pickle"


def rates_are_optional(caller: Caller) -> str:
    name, scene = caller.begin(), caller.config.scene
    for step in range(3):
        caller.images(name, step)
        caller.call("submit_egomotion_observation", scene.egomotion(name, step, HISTORY if step == 0 else 1, False))
        caller.call("submit_route", scene.route(name, step))
        _sound(caller.call("drive", scene.drive(name, step)))
    caller.end(name)
    return "poses without dynamic_states are accepted"


def route_is_padded(caller: Caller) -> str:
    name, scene = caller.begin(), caller.config.scene
    for step, count in enumerate((20, 6, 1, 0)):
        caller.observe(name, step)
        caller.call("submit_route", scene.route(name, step, count))
        try:
            _sound(caller.call("drive", scene.drive(name, step)))
        except FaultError as error:
            raise FaultError(f"with {count} of 20 waypoints and NaN behind them: {error}") from error
    caller.end(name)
    return "20, 6, 1 and 0 waypoints, NaN behind them: sound plans"


def truth_is_not_used(caller: Caller) -> str:
    _repeatable(caller)
    plain = caller.driven(2)[-1]
    name, scene = caller.begin(), caller.config.scene
    told = []
    for step in range(2):
        caller.observe(name, step)
        caller.call("submit_recording_ground_truth", scene.recording(name, step))
        told.append(caller.call("drive", scene.drive(name, step)))
    caller.end(name)
    gap = apart_m(plain, told[-1])
    if gap > SAME_M:
        raise FaultError(f"with the recorded future submitted, the plan moves by {gap:.2f} m")
    return "the plan is the same with and without the recording"


def missing_frames(caller: Caller) -> str:
    _with_cameras(caller)
    name = caller.begin()
    for step in range(8):
        try:
            _sound(caller.step(name, step, pictures=step not in (0, 3, 4, 5)))
        except FaultError as error:
            raise FaultError(f"step {step}, of steps 0, 3, 4 and 5 no frame came: {error}") from error
    caller.end(name)
    return "no frame at first, and a gap of three: sound plans"


def late_frames(caller: Caller) -> str:
    _with_cameras(caller)
    name = caller.begin()
    for step in range(len(LATE)):
        caller.observe(name, step, pictures=False)
        for shown in LATE[step]:
            caller.images(name, shown)
        _sound(caller.call("drive", caller.config.scene.drive(name, step)))
    caller.end(name)
    return "frames two steps late and out of order: sound plans"


def both_formats(caller: Caller) -> str:
    _with_cameras(caller)
    for kind in ("JPEG", "PNG"):
        try:
            _sound(caller.driven(1, scene=replace(caller.config.scene, image_format=kind))[0])
        except FaultError as error:
            raise FaultError(f"{kind}: {error}") from error
    return "JPEG and PNG"


def same_under_a_seed(caller: Caller) -> str:
    gap = _repeated(caller)
    if gap > SAME_M:
        raise FaultError(f"the same session under the same seed once more: plans differ by {gap:.3g} m")
    return f"the same session twice: plans within {gap * 1e3:.2g} mm"


def side_by_side(caller: Caller) -> str:
    _repeatable(caller)
    count = caller.config.sessions
    scenes = [
        replace(caller.config.scene, speed_mps=4.0 + 2.0 * k, yaw_local=0.5 * k, origin_local=(40.0 * k, 10.0, 0.0))
        for k in range(count)
    ]
    alone = [caller.driven(4, 100 + k, scene) for k, scene in enumerate(scenes)]
    with ThreadPoolExecutor(count) as pool:
        together = list(pool.map(lambda k: caller.driven(4, 100 + k, scenes[k]), range(count)))
    gap = max(
        apart_m(a, b) for one, other in zip(alone, together, strict=True) for a, b in zip(one, other, strict=True)
    )
    if gap > SAME_M:
        raise FaultError(f"{count} sessions at once answer otherwise than one by one: plans differ by {gap:.3g} m")
    return f"{count} sessions at once answer as one by one"


def fast_enough(caller: Caller) -> str:
    times = [a.ms for a in caller.ordinary if a.response is not None][1:]
    if not times:
        raise SkipError("too few drive calls were answered")
    p50, p95, p99 = np.percentile(times, (50, 95, 99))
    words = f"drive takes {p50:.1f} ms (median), {p95:.1f} (95 %), {p99:.1f} (99 %)"
    if p95 > caller.config.budget_ms:
        raise FaultError(f"{words}; the budget is {caller.config.budget_ms:g} ms")
    return words


def unknown_sessions(caller: Caller) -> str:
    name = caller.begin()
    caller.step(name, 0)
    caller.end(name)
    for session, words in ((name, "a closed session"), ("cordillera-never-started", "a session never started")):
        if _refusal(caller, "drive", caller.config.scene.drive(session, 1)) is None:
            raise FaultError(f"drive of {words} is answered with a plan")
    return "drive of closed and unknown sessions is refused"


def bad_egomotion(caller: Caller) -> str:
    name, scene = caller.begin(), caller.config.scene
    caller.step(name, 0)
    message = scene.egomotion(name, 1)
    message.trajectory.poses[0].pose.vec.x = float("nan")
    words = _refusal(caller, "submit_egomotion_observation", message)
    answer = caller.step(name, 2)
    caller.end(name)
    _sound(answer)
    if words is None:
        raise FaultError("a pose with NaN is taken without a word")
    return f"refused: {words[:120]}"


def broken_bytes(caller: Caller) -> str:
    name = caller.begin()
    caller.step(name, 0)
    raw = caller.channel.unary_unary(f"/{DRIVER}/drive")
    try:
        raw(b"\xff\xff\xff\xff", timeout=caller.config.timeout_s)
    except grpc.RpcError as error:
        words = words_of("drive", error)
    else:
        raise FaultError("four bytes that are no message are answered with a plan")
    try:
        _sound(caller.step(name, 1))
    except FaultError as error:
        raise FaultError(f"after a broken message another session fails: {error}") from error
    caller.end(name)
    return f"refused: {words[:120]}"


# ---------------------------------------------------------------------- shared


def _planned(caller: Caller) -> list[tuple[int, egodriver_pb2.DriveResponse]]:
    """The answers that hold a plan; SkipError where there is none."""
    planned = [(step, response) for step, response in caller.answers() if len(response.trajectory.poses)]
    if not planned:
        raise SkipError("every plan is empty")
    return planned


def _sound(response: egodriver_pb2.DriveResponse) -> None:
    """FaultError where a plan is empty, not finite or out of order."""
    t_us, xyz, _ = numbers_of(response)
    if len(t_us) < 2 or not np.isfinite(xyz).all() or (np.diff(t_us.astype(np.int64)) <= 0).any():
        raise FaultError(f"the plan of {len(t_us)} poses is empty, not finite or out of order")


def _repeated(caller: Caller) -> float:
    """How far two equal sessions' plans differ in metres."""
    one, other = caller.driven(3), caller.driven(3)
    return max(apart_m(a, b) for a, b in zip(one, other, strict=True))


def _repeatable(caller: Caller) -> None:
    if _repeated(caller) > SAME_M:
        raise SkipError("equal sessions are answered differently, so nothing can be compared")


def _with_cameras(caller: Caller) -> None:
    if not caller.config.scene.cameras:
        raise SkipError("no cameras are declared; give --cameras")


def _refusal(caller: Caller, name: str, request: object) -> str | None:
    """The words with which a call is refused, or None where it is not."""
    try:
        caller.call(name, request)
    except FaultError as error:
        return str(error)
    return None
