"""The messages of `controller.proto`; their fields stand in `controller_pb2.pyi`."""

from cordillera.serve.wire.pool import names_of

globals().update(names_of("controller"))
