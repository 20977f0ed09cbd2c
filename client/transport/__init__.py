"""What touches the network: REST over httpx, the socket over websockets. No decisions in here."""
