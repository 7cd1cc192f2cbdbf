"""`cordillera check-driver`: our own server passes, and each of many bad ones fails by the name of its fault."""

from __future__ import annotations

import json
import math
import pickle
import time

import numpy as np
import pytest

pytest.importorskip("grpc")

import grpc

from cordillera.cli import main
from cordillera.sensors.rig import rig
from cordillera.serve.channel import Endpoint
from cordillera.serve.check import CheckConfig, run_checks
from cordillera.serve.check_list import CHECKS
from cordillera.serve.check_scene import Scene, picture
from cordillera.serve.driver_service import DriverService
from cordillera.serve.server import Background, ServerConfig
from cordillera.serve.wire.services import DRIVER, RefusedError
from tests.serve_fixtures import FRONT, SeeingPolicy, served, serving

CONFIG = CheckConfig(Scene((FRONT,)), steps=4, sessions=3)
NAMES = [check.name for check in CHECKS]


class Bad(DriverService):
    """Our service with a fault in it."""

    fault = ""

    def __init__(self, fault: str) -> None:
        super().__init__(served(SeeingPolicy, (FRONT,)))
        self.fault, self.calls = fault, 0

    async def drive(self, request, context):
        self.calls += 1
        if self.fault == "answers strangers":
            try:
                self.sessions.find(request.session_uuid)
            except RefusedError:
                return self.last
        if self.fault == "raises":
            raise RuntimeError("out of memory")
        answer = await super().drive(request, context)
        poses = answer.trajectory.poses
        spoil = getattr(self, "do_" + self.fault.replace(" ", "_"), None)
        if spoil:
            spoil(answer, poses, request)
        self.last = answer
        return answer

    async def submit_egomotion_observation(self, request, context):
        if self.fault == "wants rates" and not request.dynamic_states:
            raise ValueError("no rates")
        if self.fault == "takes nan":
            for stamped in request.trajectory.poses:
                stamped.pose.vec.x = 0.0 if math.isnan(stamped.pose.vec.x) else stamped.pose.vec.x
        return await super().submit_egomotion_observation(request, context)

    async def submit_route(self, request, context):
        if self.fault == "no padding" and any(math.isnan(p.x) for p in request.route.waypoints):
            raise ValueError("a waypoint is NaN")
        return await super().submit_route(request, context)

    async def submit_recording_ground_truth(self, request, context):
        if self.fault == "peeks":
            self.peeked = request.session_uuid
        return await super().submit_recording_ground_truth(request, context)

    async def submit_image_observation(self, request, context):
        if self.fault == "only png" and not request.camera_image.image_bytes.startswith(b"\x89PNG"):
            raise ValueError("not a PNG")
        newest = self.__dict__.setdefault("newest", {})
        t, uuid = request.camera_image.frame_end_us, request.session_uuid
        if self.fault == "wants order" and t < newest.get(uuid, 0):
            raise RefusedError(grpc.StatusCode.OUT_OF_RANGE, "too late")
        newest[uuid] = max(t, newest.get(uuid, 0))
        return await super().submit_image_observation(request, context)

    def do_empty(self, answer, poses, request):
        del poses[:]

    def do_one_pose(self, answer, poses, request):
        del poses[1:]

    def do_late(self, answer, poses, request):
        del poses[:1]

    def do_past(self, answer, poses, request):
        for pose in poses:
            pose.timestamp_us -= 20_000_000

    def do_twice(self, answer, poses, request):
        poses[3].timestamp_us = poses[2].timestamp_us

    def do_long_quaternion(self, answer, poses, request):
        poses[5].pose.quat.w = 2.0

    def do_no_quaternion(self, answer, poses, request):
        poses[5].pose.quat.Clear()

    def do_nan(self, answer, poses, request):
        poses[9].pose.vec.y = math.nan

    def do_rig_frame(self, answer, poses, request):
        x, y = poses[0].pose.vec.x, poses[0].pose.vec.y
        for pose in poses:
            pose.pose.vec.x -= x
            pose.pose.vec.y -= y

    def do_unturned(self, answer, poses, request):
        x, y = poses[0].pose.vec.x, poses[0].pose.vec.y
        for k, pose in enumerate(poses):
            pose.pose.vec.x, pose.pose.vec.y = x + 0.8 * k, y

    def do_gives_up(self, answer, poses, request):
        answer.terminate_session = True

    def do_short(self, answer, poses, request):
        del poses[6:]

    def do_no_samples(self, answer, poses, request):
        del answer.debug_info.sampled_trajectories[:]

    def do_pickles(self, answer, poses, request):
        answer.debug_info.unstructured_debug_info = pickle.dumps({"reasoning_text": "because"})

    def do_chance(self, answer, poses, request):
        poses[20].pose.vec.x += 0.1 * np.random.default_rng().random()

    def do_mixes_sessions(self, answer, poses, request):
        if len(self.sessions) > 1:
            poses[20].pose.vec.x += 0.5

    def do_peeks(self, answer, poses, request):
        if request.session_uuid == getattr(self, "peeked", ""):
            poses[20].pose.vec.x += 0.5

    def do_slow(self, answer, poses, request):
        if self.calls <= CONFIG.steps:
            time.sleep(0.15)


FAULTS = {
    "raises": "calls_are_answered",
    "empty": "plan_has_poses",
    "one pose": "plan_has_poses",
    "late": "plan_begins_by_now",
    "past": "plan_reaches_on",
    "twice": "stamps_increase",
    "long quaternion": "quaternions_are_unit",
    "no quaternion": "quaternions_are_unit",
    "nan": "plan_is_finite",
    "rig frame": "plan_is_in_local",
    "unturned": "plan_turns_with_local",
    "gives up": "goes_on",
    "wants rates": "rates_are_optional",
    "no padding": "route_is_padded",
    "wants order": "late_frames_are_borne",
    "only png": "jpeg_and_png_are_read",
    "mixes sessions": "sessions_side_by_side",
    "peeks": "truth_is_not_used",
    "chance": "same_under_a_seed",
    "short": "plan_is_long",
    "no samples": "samples_are_filled",
    "pickles": "notes_are_no_pickles",
    "answers strangers": "unknown_sessions_are_refused",
    "takes nan": "nan_egomotion_is_refused",
    "slow": "drive_is_fast",
}


ALONE = ("long quaternion", "no samples", "peeks", "no padding")  # nothing else may fail with them


def report_on(address, checks=CHECKS):
    found = []
    report = run_checks(Endpoint(address), CONFIG, checks, found.append)
    assert tuple(found) == report.findings
    return report


def bad(fault):
    service = Bad(fault)
    return Background({DRIVER: service}, ServerConfig(port=0, grace_s=1.0), after=service.stop)


def test_our_own_server_passes_every_check():
    with serving(served(SeeingPolicy, (FRONT,))) as address:
        report = report_on(address)
    assert {f.name: f.seen for f in report.findings if f.outcome != "pass" and f.name != "drive_is_fast"} == {}
    assert report.version == "cordillera test seeing" and len(report.drive_ms) == 3 and report.first_ms > 0.0


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_driver_fails_by_name(fault):
    name = FAULTS[fault]
    checks = CHECKS if fault in ALONE else tuple(c for c in CHECKS if c.name in (*NAMES[:2], name))
    with bad(fault) as address:
        outcome = {f.name: f.outcome for f in report_on(address, checks).findings}
    assert outcome[name] == "fail"
    if fault in ALONE:
        assert {each for each, result in outcome.items() if result == "fail"} - {"drive_is_fast"} == {name}


def test_every_check_can_fail():
    """Here or below; broken bytes are gRPC's own to refuse, whatever the driver is."""
    assert set(NAMES) - set(FAULTS.values()) == {
        "session_starts",
        "missing_frames_are_borne",
        "broken_bytes_harm_nobody",
    }


def test_a_refused_session_skips_the_rest():
    tele = rig(("camera_front_tele_30fov",), 96, 54).cameras
    with serving(served(SeeingPolicy, tele)) as address:
        report = report_on(address)
    first, *others = report.findings
    assert first.outcome == "fail" and "camera_front_tele_30fov" in first.seen and "--cameras" in first.mend
    assert {f.outcome for f in others} == {"skip"}
    assert len(report.failed()) == 1


def test_missing_frames_that_are_not_borne():
    service = Bad("")
    whole = service.drive

    async def drive(request, context):
        held = service.sessions.find(request.session_uuid)
        if not held.kept.frames:
            raise RuntimeError("no frame")
        return await whole(request, context)

    service.drive = drive
    with Background({DRIVER: service}, ServerConfig(port=0, grace_s=1.0), after=service.stop) as address:
        checks = tuple(c for c in CHECKS if c.name in ("session_starts", "missing_frames_are_borne"))
        found = report_on(address, checks).findings[1]
    assert found.outcome == "fail" and "step 0" in found.seen and "INTERNAL" in found.seen


# ---------------------------------------------------------------------- the verb


def test_the_verb_prints_and_returns_one_on_failure(capsys):
    with serving() as address:
        assert main(["check-driver", address, "--cameras", "none", "--steps", "3", "--sessions", "2"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in NAMES) and "can drive with it" in said and "no cameras are declared" in said
    with bad("late") as address:
        command = ["check-driver", address, "--cameras", "front-wide", "--size", "96x54", "--steps", "3"]
        assert main(command) == 1
        said = " ".join(capsys.readouterr().out.split())
        assert "FAIL plan_begins_by_now" in said and "mend: put the car's pose" in said and "would fail" in said
        assert main([*command, "--json"]) == 1
    tree = json.loads(capsys.readouterr().out)
    assert tree["schema"] == "cordillera.check-driver/1" and tree["passed"] is False
    assert [c["name"] for c in tree["checks"]] == NAMES
    assert [c["name"] for c in tree["checks"] if c["outcome"] == "fail" and c["required"]] == ["plan_begins_by_now"]
    assert tree["drive_ms"]["p95"] > 0.0


def test_what_is_only_advised_counts_when_strict(capsys):
    with bad("no samples") as address:
        command = ["check-driver", address, "--cameras", "front-wide", "--size", "96x54", "--steps", "3"]
        assert main(command) == 0
        assert main([*command, "--strict"]) == 1
    assert "weak samples_are_filled" in " ".join(capsys.readouterr().out.split())


def test_nobody_there_is_said(capsys):
    assert main(["check-driver", "127.0.0.1:1"]) == 2
    assert "nobody answers at 127.0.0.1:1" in capsys.readouterr().err


def test_the_road_is_where_geometry_says():
    """Straight ahead the road is grey, above the horizon is sky, far to the side is grass."""
    image = picture(FRONT, 2.0)
    assert tuple(image[2, 48]) == (150, 180, 215)
    assert tuple(image[50, 48]) == (80, 80, 84)
    assert tuple(image[31, 2]) == (85, 110, 70)
