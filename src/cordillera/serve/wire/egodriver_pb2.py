"""The messages of `egodriver.proto`; their fields stand in `egodriver_pb2.pyi`."""

from cordillera.serve.wire.pool import names_of

globals().update(names_of("egodriver"))
