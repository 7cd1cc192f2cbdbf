"""Messages of every shape to the world's services: each is answered or refused with a sentence, and harms no other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cordillera.presets.serve_world import world_services
from cordillera.sensors.rig import rig
from cordillera.serve.convert import camera_message, pose_message
from cordillera.serve.recipe import SceneRecipe
from cordillera.serve.scene import EPOCH_US
from cordillera.serve.scenes import Scenes, made
from cordillera.serve.wire import common_pb2, traffic_pb2
from cordillera.serve.wire.services import CONTROLLER, PHYSICS, SENSORSIM, TRAFFIC, handlers_of, methods_of

CAMERA = rig(("camera_front_wide_120fov",), 32, 18).cameras[0]
ANSWERED = {None, *(getattr(grpc.StatusCode, n) for n in ("INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS"))}
CALLS = [
    (service, method.name) for service in (SENSORSIM, PHYSICS, TRAFFIC, CONTROLLER) for method in methods_of(service)
]
FUZZ = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class Aborted(grpc.aio.AbortError):
    """What a context raises when a call is refused."""


class Context:
    """A call's context that notes how the call ended."""

    def __init__(self) -> None:
        self.code: grpc.StatusCode | None = None
        self.sentence = ""

    async def abort(self, code: grpc.StatusCode, sentence: str) -> None:
        self.code, self.sentence = code, sentence
        raise Aborted

    async def send_initial_metadata(self, metadata: Any) -> None:
        pass

    def invocation_metadata(self) -> tuple:
        return ()


class World:
    """The four services, called with bytes as gRPC would call them."""

    def __init__(self) -> None:
        self.scenes = Scenes([made(SceneRecipe("built:straight", 2, 3.0), rig((CAMERA.name,), 32, 18))])
        self.scene_id = self.scenes.ids[0]
        self.services = world_services(self.scenes)
        self.handlers = {name: handlers_of(name, service) for name, service in self.services.items()}

    def call(self, service: str, method: str, data: bytes) -> tuple[grpc.StatusCode | None, str, Any]:
        """A call -> the code (None: answered), the sentence and the answer."""

        class Details:
            pass

        details: Any = Details()
        details.method, details.invocation_metadata = f"/{service}/{method}", ()
        handler: Any = self.handlers[service].service(details)
        if handler is None:
            return grpc.StatusCode.INVALID_ARGUMENT, "not served", None
        context = Context()

        async def answer() -> Any:
            return await handler.unary_unary(data, context)

        try:
            return None, "", asyncio.run(answer())
        except Aborted:
            return context.code, context.sentence, None


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    yield world
    for service in world.services.values():
        service.stop()


# ------------------------------------------------------------------ messages

NUMBERS = st.sampled_from([0.0, 1.0, -1.0, 0.5, 4.5, 1e-30, 1e9, -1e30, float("nan"), float("inf")]) | st.floats(
    width=32
)
TIMES = st.sampled_from([0, 1, EPOCH_US - 1, EPOCH_US, EPOCH_US + 100_000, EPOCH_US + 350_000, 2**62, 2**63, 2**64 - 1])
COUNTS = st.sampled_from([0, 1, 8, 18, 32, 4097, 2**31, 2**32 - 1])
SOUND_POSE = st.builds(
    lambda x, y: pose_message((x, y, 0.7), (0.0, 0.0, 0.0, 1.0)),
    st.floats(-50, 50, width=32),
    st.floats(-5, 5, width=32),
)


def messages(descriptor: Any, names: st.SearchStrategy[str], depth: int = 0) -> st.SearchStrategy[Any]:
    """A message's descriptor -> messages of it: most fields plausible, some odd, some missing."""
    cls = GetMessageClass(descriptor)
    odd = st.deferred(lambda: st.builds(lambda parts: filled(cls, parts), st.fixed_dictionaries({}, optional={
        field.name: values(field, names, depth) for field in descriptor.fields
    })))  # fmt: skip
    if descriptor.full_name == "common.Pose":
        return SOUND_POSE | odd
    if descriptor.full_name == "nre.grpc.protos.sensorsim.CameraSpec":
        return st.just(camera_message(CAMERA).intrinsics) | odd
    if descriptor.full_name == "common.AABB":
        return st.just(common_pb2.AABB(size_x=4.5, size_y=1.8, size_z=1.5)) | odd
    return odd


def values(field: FieldDescriptor, names: st.SearchStrategy[str], depth: int) -> st.SearchStrategy[Any]:
    """A field -> values for it."""
    kind = field.type
    if kind == FieldDescriptor.TYPE_MESSAGE:
        one = messages(field.message_type, names, depth + 1)
    elif kind in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        one = NUMBERS
    elif kind == FieldDescriptor.TYPE_STRING:
        one = names
    elif kind == FieldDescriptor.TYPE_BYTES:
        one = st.binary(max_size=8)
    elif kind == FieldDescriptor.TYPE_BOOL:
        one = st.booleans()
    elif kind == FieldDescriptor.TYPE_ENUM:
        one = st.integers(0, 9)
    elif kind in (FieldDescriptor.TYPE_UINT32,):
        one = COUNTS
    elif kind == FieldDescriptor.TYPE_INT64:
        one = TIMES.filter(lambda t: t < 2**63) | st.integers(-(2**63), -1)
    else:
        one = TIMES
    return st.lists(one, max_size=3) if field.is_repeated else one


def filled(cls: Any, parts: dict[str, Any]) -> Any:
    """A message's class and values of its fields -> the message."""
    message = cls()
    for name, value in parts.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        if field.is_repeated:
            getattr(message, name).extend(value)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            getattr(message, name).CopyFrom(value)
        else:
            setattr(message, name, value)
    return message


# --------------------------------------------------------------------- tests


@pytest.mark.parametrize(("service", "method"), CALLS, ids=[f"{s.rpartition('.')[2]}.{m}" for s, m in CALLS])
@FUZZ
@given(data=st.data())
def test_every_message_is_answered_or_refused_with_a_sentence(
    world: World, service: str, method: str, data: st.DataObject
) -> None:
    names = st.sampled_from([world.scene_id, "EGO", "1", "2", "3.2", "s", CAMERA.name, "", "x" * 300, "é\0"])
    (found,) = [m for m in methods_of(service) if m.name == method]
    message = data.draw(messages(found.input_type, names))
    code, sentence, _ = world.call(service, method, message.SerializeToString())
    assert code in ANSWERED, sentence
    assert code is None or len(sentence) >= 10


@FUZZ
@given(data=st.binary(max_size=64), call=st.sampled_from(CALLS))
def test_bytes_that_are_no_message_are_refused(world: World, data: bytes, call: tuple[str, str]) -> None:
    code, sentence, _ = world.call(*call, data)
    assert code in ANSWERED, sentence


@FUZZ
@given(data=st.data())
def test_a_session_goes_on_whatever_another_is_sent(world: World, data: st.DataObject) -> None:
    """A witness in traffic gets the same answer after each message of a neighbour."""

    def sent(method: str, message: Any) -> Any:
        code, sentence, answer = world.call(TRAFFIC, method, message.SerializeToString())
        assert code is None, sentence
        return answer

    def disturb() -> None:
        for method in ("start_session", "simulate", "close_session"):
            (found,) = [m for m in methods_of(TRAFFIC) if m.name == method]
            world.call(TRAFFIC, method, data.draw(messages(found.input_type, names)).SerializeToString())

    def drive(name: str, disturbed: bool) -> list[Any]:
        begin = traffic_pb2.TrafficSessionRequest(session_uuid=name, scene_id=world.scene_id)
        for k in agents.id[agents.valid]:
            begin.logged_object_trajectories.add(object_id=str(int(k)))
        sent("start_session", begin)
        answers = []
        try:
            for t_us in (EPOCH_US + 100_000, EPOCH_US + 200_000):
                if disturbed:
                    disturb()
                request = traffic_pb2.TrafficRequest(session_uuid=name, time_query_us=t_us)
                ego = request.object_trajectory_updates.add(object_id="EGO")
                pose = pose_message((3.0, 0.0, 0.8), (0.0, 0.0, 0.0, 1.0))
                ego.trajectory.poses.add(timestamp_us=t_us, pose=pose)
                answers.append(sent("simulate", request))
        finally:
            sent("close_session", traffic_pb2.TrafficSessionCloseRequest(session_uuid=name))
        return answers

    names = st.sampled_from([world.scene_id, "EGO", "1", "2", "odd"])
    agents = world.scenes.get(world.scene_id).scenario.initial.agents
    alone, beside = drive("witness a", False), drive("witness b", True)
    assert alone == beside
    assert alone[0].object_trajectory_updates
