"""Other drivers who do what they should not: cut in, brake hard, come the wrong way, press from behind."""
