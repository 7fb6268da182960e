"""The session managers that applications use.

``aio`` holds the asynchronous one, ``sync`` the synchronous one, which is generated from it.
"""
