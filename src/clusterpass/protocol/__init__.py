"""What is said to the store: key names, record layouts, scripts and their replies. Does no I/O."""
