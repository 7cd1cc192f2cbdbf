"""Throw everything at the driver's service for some minutes: `python -m recipes.fuzz_serve --minutes 10`.

hypothesis makes messages of every shape that the contract's descriptors allow, and bytes that they do not; a server of
ours in this process takes them. It must answer each with a plan that is sound or with a status that names the caller's
fault, never with INTERNAL or UNKNOWN, and a session that does nothing wrong must go on getting the same plan all the
while. The first call that breaks this is shrunk and printed, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import io
import logging
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from cordillera.policy.baselines import RouteFollower
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.rig import rig
from cordillera.serve.check_scene import HISTORY, Scene
from cordillera.serve.convert import trajectory_of
from cordillera.serve.driver_service import DriverService, Served, ServiceConfig
from cordillera.serve.server import Background, ServerConfig
from cordillera.serve.sessions import SessionLimits
from cordillera.serve.wire.services import DRIVER, methods_of, serialized

CAMERA = rig(("camera_front_wide_120fov",), 96, 54).cameras[0]
SCENE = Scene((CAMERA,))
FUZZED, WITNESS = "fuzzed", "witness"
ALLOWED = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"}
METHODS = {method.name: method for method in methods_of(DRIVER)}
NUMBERS = {FieldDescriptor.CPPTYPE_UINT64: 2**64 - 1, FieldDescriptor.CPPTYPE_UINT32: 2**32 - 1}


def picture(kind: str, width: int = 96, height: int = 54) -> bytes:
    """A format and a size -> the bytes of a small image."""
    out = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 90, dtype=np.uint8)).save(out, kind)
    return out.getvalue()


STAMPS = st.integers(-3, 40).map(SCENE.now_us)
BYTES = st.one_of(
    st.binary(max_size=64),
    st.sampled_from([picture("PNG"), picture("JPEG"), picture("GIF"), picture("PNG", 7, 5), picture("PNG")[:80]]),
)
NAMES = st.sampled_from([FUZZED, CAMERA.name, "", "nobody", "x" * 300])
SOUND: dict[str, Any] = {  # what a caller that makes no mistake sends
    "start_session": SCENE.start(FUZZED, 1),
    "close_session": GetMessageClass(METHODS["close_session"].input_type)(session_uuid=FUZZED),
    "submit_image_observation": SCENE.frame(FUZZED, CAMERA, 1),
    "submit_egomotion_observation": SCENE.egomotion(FUZZED, 1, 3),
    "submit_route": SCENE.route(FUZZED, 1, 15),
    "submit_recording_ground_truth": SCENE.recording(FUZZED, 1),
    "drive": SCENE.drive(FUZZED, 1),
    "get_version": GetMessageClass(METHODS["get_version"].input_type)(),
}


def value_of(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    """A field -> values that it may hold, odd ones among them."""
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_MESSAGE:
        return message_of(field.message_type, depth + 1)
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return BYTES if field.type == FieldDescriptor.TYPE_BYTES else st.one_of(NAMES, st.text(max_size=8))
    if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        odd = st.floats(width=32) if kind == FieldDescriptor.CPPTYPE_FLOAT else st.floats()
        return st.one_of(st.floats(-2.0, 2.0, width=32), odd)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return st.integers(-1, 5)
    if kind in NUMBERS:
        most = NUMBERS[kind]
        near = STAMPS if most > 2**32 else st.integers(1, 200)
        return st.one_of(near, st.sampled_from([0, 1, 2**31, most]), st.integers(0, most))
    return st.integers(-(2**31), 2**31 - 1)


def message_of(descriptor: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """A message's descriptor -> messages with any of its fields set."""
    kind = GetMessageClass(descriptor)

    @st.composite
    def build(draw: st.DrawFn) -> Any:
        message = kind()
        for each in descriptor.fields:
            if depth > 5 or draw(st.integers(0, 5)) == 0:
                continue
            if each.is_repeated:
                for value in draw(st.lists(value_of(each, depth), max_size=5)):
                    put(message, each, value, repeated=True)
            else:
                put(message, each, draw(value_of(each, depth)))
        return message

    return build()


def put(message: Any, field: FieldDescriptor, value: Any, repeated: bool = False) -> None:
    """Set a field, or add to it."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        (getattr(message, field.name).add() if repeated else getattr(message, field.name)).CopyFrom(value)
    elif repeated:
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)


@st.composite
def altered(draw: st.DrawFn, name: str) -> Any:
    """A sound message with some of its fields replaced, wherever they lie."""
    message = type(SOUND[name])()
    message.CopyFrom(SOUND[name])
    for _ in range(draw(st.integers(0, 3))):
        at = message
        while at.DESCRIPTOR.fields:
            each = draw(st.sampled_from(list(at.DESCRIPTOR.fields)))
            if each.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE and draw(st.integers(0, 4)):
                inner = getattr(at, each.name)
                if not each.is_repeated or len(inner):
                    at = inner[draw(st.integers(0, len(inner) - 1))] if each.is_repeated else inner
                    continue
            put(at, each, draw(value_of(each, 2)), each.is_repeated)
            break
    return message


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, bytes]:
    """A call: a method's name and bytes, which are a message, a broken one, or nothing of the kind."""
    name = draw(st.sampled_from(sorted(METHODS)))
    if draw(st.integers(0, 9)) == 0:
        return name, draw(st.binary(max_size=200))
    sound = draw(st.integers(0, 3)) > 0
    data = bytearray(serialized(draw(altered(name) if sound else message_of(METHODS[name].input_type))))
    if data and draw(st.integers(0, 7)) == 0:
        for at in draw(st.lists(st.integers(0, len(data) - 1), max_size=4)):
            data[at] = draw(st.integers(0, 255))
        data = data[: draw(st.integers(0, len(data)))]
    return name, bytes(data)


@dataclass(eq=False)
class Target:
    """A server of ours, its witness, and what was answered so far."""

    channel: grpc.Channel
    answers: Counter[str] = field(default_factory=Counter)
    plan: bytes = b""

    def call(self, name: str, data: bytes) -> tuple[str, bytes, str]:
        """A call -> its code, its answer, and its words."""
        try:
            return "OK", self.channel.unary_unary(f"/{DRIVER}/{name}")(data, timeout=30.0), ""
        except grpc.RpcError as error:
            fault: Any = error
            return fault.code().name, b"", fault.details()

    def begin(self, session: str) -> None:
        """A sound session with a past, a route and a frame."""
        self.call("close_session", session_bytes("close_session", session))
        for name, message in (
            ("start_session", SCENE.start(session, 1)),
            ("submit_image_observation", SCENE.frame(session, CAMERA, 0)),
            ("submit_egomotion_observation", SCENE.egomotion(session, 0, HISTORY)),
            ("submit_route", SCENE.route(session, 0)),
        ):
            code, _, words = self.call(name, serialized(message))
            assert code == "OK", words

    def witness(self) -> None:
        """The witness's plan is what it was."""
        code, answer, words = self.call("drive", serialized(SCENE.drive(WITNESS, 0)))
        assert code == "OK", f"the witness: {words}"
        plan = METHODS["drive"].output_type
        data = serialized(GetMessageClass(plan).FromString(answer).trajectory)
        assert data == (self.plan or data), "the witness is given another plan than before"
        self.plan = data

    def throw(self, name: str, data: bytes) -> None:
        """One call, and whether its answer is allowed."""
        if WITNESS.encode() in data:
            return
        code, answer, words = self.call(name, data)
        self.answers[f"{name} {code}"] += 1
        assert code in ALLOWED, f"{name} is answered with {code}: {words}"
        assert code == "OK" or words, f"{name} is refused with {code} and no words"
        if name == "drive" and code == "OK":
            response = GetMessageClass(METHODS["drive"].output_type).FromString(answer)
            plan = trajectory_of(response.trajectory, "local")
            assert len(plan.t_us) > 50


def session_bytes(method: str, session: str) -> bytes:
    return serialized(GetMessageClass(METHODS[method].input_type)(session_uuid=session))


def server() -> Background:
    """A server of ours to throw at, with a policy that needs no model, and a camera."""
    served = Served("fuzzed", lambda number: SafeDriver(RouteFollower()), (CAMERA,))
    service = DriverService(served, ServiceConfig(SessionLimits(sessions=10_000, idle_s=60.0)))
    config = ServerConfig(port=0, grace_s=2.0, message_mb=1.0)
    return Background({DRIVER: service}, config, (service.sessions.reap,), service.stop)


def fuzz(target: Target, examples: int, number: int) -> None:
    """So many sequences of calls by a seed; AssertionError with the shortest one that breaks the rules."""

    @seed(number)
    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink), report_multiple_bugs=False,
    )  # fmt: skip
    @given(st.lists(calls(), min_size=1, max_size=12))
    def throw_all(sequence: list[tuple[str, bytes]]) -> None:
        target.begin(FUZZED)
        for name, data in sequence:
            target.throw(name, data)
        target.throw("drive", serialized(SCENE.drive(FUZZED, 0)))
        target.witness()

    target.begin(WITNESS)
    throw_all()


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--minutes", type=float, default=10.0)
    arguments.add_argument("--seed", type=int, default=0)
    given_arguments = arguments.parse_args()
    logging.disable(logging.WARNING)
    ends = time.monotonic() + 60.0 * given_arguments.minutes
    with server() as address, grpc.insecure_channel(address) as channel:
        target, number = Target(channel), given_arguments.seed
        while time.monotonic() < ends:
            try:
                fuzz(target, 50, number)
            except AssertionError as error:
                print(f"seed {number}: {error}", file=sys.stderr)
                return 1
            number += 1
            total = sum(target.answers.values())
            print(f"\r{total} calls, {number - given_arguments.seed} rounds, no fault", end="", flush=True)
    print()
    for words, count in sorted(target.answers.items()):
        print(f"{count:8d} {words}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
