"""One function for each script: what to send, and how its reply is read. Sends nothing."""
