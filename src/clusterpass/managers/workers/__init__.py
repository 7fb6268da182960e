"""Background work of a manager: on threads, or in tasks of the event loop.

- Both variants have the same interface; that of the event loop is awaited.
- A worker starts when it is first woken, and ends when its work returns.
- Jobs run at once, each on a thread or in a task of its own.
- After a fork the child has no worker until it wakes one, and no job until it starts one.
"""
