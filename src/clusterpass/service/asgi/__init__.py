"""What stands around the HTTP calls: middleware, log lines, the answer from memory."""
