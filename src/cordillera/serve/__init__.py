"""Our drivers and our worlds as gRPC services, in the contract of AlpaSim."""
