"""One function for each script: what to send, and how to read the reply. Sends nothing."""
