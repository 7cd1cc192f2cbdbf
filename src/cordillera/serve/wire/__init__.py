"""The contract on the wire: messages as classes, services by name. The `.proto` files say what is what."""
