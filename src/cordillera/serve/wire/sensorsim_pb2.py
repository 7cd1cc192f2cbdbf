"""The messages of `sensorsim.proto`; their fields stand in `sensorsim_pb2.pyi`."""

from cordillera.serve.wire.pool import names_of

globals().update(names_of("sensorsim"))
