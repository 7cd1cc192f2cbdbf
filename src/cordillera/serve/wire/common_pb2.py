"""The messages of `common.proto`; their fields stand in `common_pb2.pyi`."""

from cordillera.serve.wire.pool import names_of

globals().update(names_of("common"))
