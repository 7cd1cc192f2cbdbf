"""The battery: every check by name, whether the runtime insists on it, why it matters, and how to mend a failure."""

from __future__ import annotations

from cordillera.serve import checks
from cordillera.serve.check import Check

FAILED = "the runtime marks the rollout as failed"
CHECKS = (
    Check(
        "session_starts", True,
        "without a session nothing can be driven",
        "accept start_session with the cameras that are declared; if yours have other names or none is needed, call "
        "check-driver with --cameras",
        checks.start,
    ),
    Check(
        "calls_are_answered", True,
        f"after an exception or an error status {FAILED}",
        "answer every drive call that follows images, egomotion and route with a plan; stop the car where you cannot",
        checks.answers_calls,
    ),
    Check(
        "plan_has_poses", True,
        f"with an empty plan, or one of a single pose, {FAILED}",
        "answer with at least two poses: the car's own at time_now_us, and the way from there",
        checks.plan_has_poses,
    ),
    Check(
        "plan_is_finite", True,
        "the runtime takes NaN, its controller then steers by zero, and the drive may even be scored as a pass",
        "look for a division by a speed of zero or an empty list; where there is no plan, plan a stop",
        checks.plan_is_finite,
    ),
    Check(
        "plan_begins_by_now", True,
        f"where the first pose is later than time_now_us, {FAILED}",
        "put the car's pose at time_now_us, or an earlier one, before your waypoints",
        checks.plan_begins_by_now,
    ),
    Check(
        "plan_reaches_on", True,
        "behind its last pose the controller has nothing to follow",
        "let the stamps count from time_now_us, in microseconds",
        checks.plan_reaches_on,
    ),
    Check(
        "stamps_increase", True,
        f"with equal or unsorted stamps {FAILED}",
        "send each time once, in order; keep stamps as integers: a wall clock in microseconds exceeds a float32",
        checks.stamps_increase,
    ),
    Check(
        "quaternions_are_unit", True,
        f"with a quaternion of length 2 or 0 {FAILED}",
        "divide quaternions by their length, set w where a pose has no rotation, and mind the order (w, x, y, z)",
        checks.quaternions_are_unit,
    ),
    Check(
        "plan_is_in_local", True,
        "the runtime reads the plan in the local frame; a plan in the rig frame sends the car to the map's origin",
        "multiply the plan in the rig frame with the newest pose of the egomotion, which is local_to_rig",
        checks.plan_is_in_local,
    ),
    Check(
        "plan_turns_with_local", True,
        "where the local frame has its origin is arbitrary, so no plan may depend on it",
        "turn and move the plan by the whole pose, rotation included",
        checks.plan_turns_with_local,
    ),
    Check(
        "goes_on", True,
        "terminate_session ends the rollout with the progress made so far",
        "set it only where driving on makes no sense",
        checks.goes_on,
    ),
    Check(
        "rates_are_optional", True,
        "dynamic_states may be left out",
        "find the speed from the poses where no rates come",
        checks.rates_are_optional,
    ),
    Check(
        "route_is_padded", True,
        "near the route's end the list of 20 waypoints is filled up with NaN",
        "leave out waypoints that are not finite before you compute with them, and plan a stop where none is left",
        checks.route_is_padded,
    ),
    Check(
        "missing_frames_are_borne", True,
        "a camera gives no picture before the first drive, or drops some",
        "go on with older frames, or plan a stop",
        checks.missing_frames,
    ),
    Check(
        "late_frames_are_borne", True,
        "images are sent at the same time and arrive in any order, also late",
        "sort frames by frame_end_us",
        checks.late_frames,
    ),
    Check(
        "jpeg_and_png_are_read", True,
        "the renderer chooses the format",
        "find the format by the picture's first bytes, as image libraries do",
        checks.both_formats,
    ),
    Check(
        "sessions_side_by_side", True,
        "the runtime drives several scenes at once through one driver",
        "keep all that belongs to a drive, models' caches included, by session_uuid",
        checks.side_by_side,
    ),
    Check(
        "truth_is_not_used", True,
        "a driver that reads the recorded future is not measured, but copies",
        "take submit_recording_ground_truth and forget it",
        checks.truth_is_not_used,
    ),
    Check(
        "same_under_a_seed", False,
        "a result that cannot be had again can be neither debugged nor compared",
        "seed every source of chance with random_seed of the session",
        checks.same_under_a_seed,
    ),
    Check(
        "plan_is_long", False,
        f"a controller that looks ahead wants {checks.HORIZON_S:g} s of plan",
        "plan further ahead; 5 s at 10 Hz are usual",
        checks.plan_is_long,
    ),
    Check(
        "samples_are_filled", False,
        "without sampled_trajectories minADE is NaN",
        "send the alternatives that you have considered, or the plan itself",
        checks.samples_are_filled,
    ),
    Check(
        "notes_are_no_pickles", False,
        "whoever unpickles runs code of the sender",
        "send UTF-8 JSON, or nothing",
        checks.notes_are_no_pickles,
    ),
    Check(
        "unknown_sessions_are_refused", False,
        "a session that was never started has no egomotion and no route: a plan for it is made up",
        "answer NOT_FOUND",
        checks.unknown_sessions,
    ),
    Check(
        "nan_egomotion_is_refused", False,
        "a pose with NaN spoils every plan that follows it in the session",
        "answer INVALID_ARGUMENT and name the pose",
        checks.bad_egomotion,
    ),
    Check(
        "broken_bytes_harm_nobody", False,
        "one faulty caller must not end the drives of others",
        "let gRPC answer what it cannot parse",
        checks.broken_bytes,
    ),
    Check(
        "drive_is_fast", False,
        "in a car a plan that comes later than the next is asked for is of no use, though the runtime waits",
        "see what the time goes into; decode pictures when they arrive, not when drive is called",
        checks.fast_enough,
    ),
)  # fmt: skip
