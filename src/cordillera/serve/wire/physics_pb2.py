"""The messages of `physics.proto`; their fields stand in `physics_pb2.pyi`."""

from cordillera.serve.wire.pool import names_of

globals().update(names_of("physics"))
