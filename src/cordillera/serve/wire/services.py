"""The services of the contract by name: on a channel as callables, on a server as handlers that answer every fault.

Requests and answers are known from the descriptors, so there is no generated code to keep in step.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from cordillera.serve.wire.pool import POOL

DRIVER = "egodriver.EgodriverService"
SENSORSIM = "nre.grpc.protos.sensorsim.SensorsimService"
CONTROLLER = "controller.VDCService"
PHYSICS = "physics.PhysicsService"
TRAFFIC = "traffic.TrafficService"
SENTENCE_MAX = 1000  # characters of a status message; they travel in the trailers, which are small

log = logging.getLogger(__name__)


class RefusedError(Exception):
    """A request that is not served: a status code and a sentence on what is wrong and how to mend it."""

    def __init__(self, code: grpc.StatusCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def methods_of(service: str) -> tuple[MethodDescriptor, ...]:
    """A service's full name -> its methods; KeyError for one that the contract does not have."""
    return tuple(POOL.FindServiceByName(service).methods)


class Stub:
    """A service on a channel: its methods as attributes, each `call(request, timeout=..., metadata=...)`.

    On a `grpc.aio` channel the calls are awaitables.
    """

    def __init__(self, channel: grpc.Channel | grpc.aio.Channel, service: str) -> None:
        self.service = service
        for method in methods_of(service):
            call = channel.unary_unary(
                f"/{service}/{method.name}",
                request_serializer=serialized,
                response_deserializer=GetMessageClass(method.output_type).FromString,
            )
            setattr(self, method.name, call)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(f"{self.service} has no method {name!r}")


def handlers_of(service: str, servicer: object) -> grpc.GenericRpcHandler:
    """A service's name and an object with a method or coroutine `name(request, context)` for each of its calls.

    For `grpc.aio` servers: `server.add_generic_rpc_handlers((handlers_of(...),))`. Calls that the object does not have
    are answered with UNIMPLEMENTED; bytes that are no such request and a ValueError with INVALID_ARGUMENT;
    `RefusedError` with its code; any other exception with INTERNAL and its type, while the message goes to the log.
    """
    handlers = {
        method.name: grpc.unary_unary_rpc_method_handler(
            cast(Any, _guarded(method, getattr(servicer, method.name))), response_serializer=serialized
        )
        for method in methods_of(service)
        if hasattr(servicer, method.name)
    }
    return cast(grpc.GenericRpcHandler, grpc.method_handlers_generic_handler(service, handlers))


def serialized(message: Any) -> bytes:
    """A message -> its bytes."""
    return message.SerializeToString()


def _guarded(
    method: MethodDescriptor, behaviour: Callable[[Any, Any], Any]
) -> Callable[[bytes, grpc.aio.ServicerContext], Awaitable[Any]]:
    """A method and what serves it -> the same on bytes, with every fault turned into a status."""
    parse = GetMessageClass(method.input_type).FromString

    async def answer(data: bytes, context: grpc.aio.ServicerContext) -> Any:
        code, sentence = grpc.StatusCode.INVALID_ARGUMENT, ""
        try:
            answered = behaviour(parse(data), context)
            return await answered if inspect.isawaitable(answered) else answered
        except DecodeError:
            sentence = f"{method.name}: the {len(data)} bytes are no {method.input_type.full_name} message"
        except RefusedError as error:
            code, sentence = error.code, f"{method.name}: {error}"
        except ValueError as error:
            sentence = f"{method.name}: {error}"
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            log.exception("%s failed", method.full_name)
            code, sentence = (
                grpc.StatusCode.INTERNAL,
                f"{method.name}: {type(error).__name__} in the server; see its log",
            )
        return await context.abort(code, sentence[:SENTENCE_MAX])

    return answer
