"""What operators see: `/metrics` and the logs."""
