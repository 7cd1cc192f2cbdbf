"""The messages of `logging.proto`; their fields stand in `logging_pb2.pyi`."""

from cordillera.serve.wire.pool import names_of

globals().update(names_of("logging"))
