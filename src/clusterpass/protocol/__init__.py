"""The protocol between library and store: key names, record layouts, scripts, replies. No I/O."""
