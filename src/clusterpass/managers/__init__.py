"""The session managers that applications use, synchronous and asynchronous."""
