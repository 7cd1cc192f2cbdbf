"""The messages of `traffic.proto`; their fields stand in `traffic_pb2.pyi`."""

from cordillera.serve.wire.pool import names_of

globals().update(names_of("traffic"))
