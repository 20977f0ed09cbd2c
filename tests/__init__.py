"""The product's tests. A package, because without it `tests/messages` would shadow the app `messages`."""
