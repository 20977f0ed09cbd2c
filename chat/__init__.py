"""The sender service: takes a message, checks it, makes it durable; rooms and membership."""
