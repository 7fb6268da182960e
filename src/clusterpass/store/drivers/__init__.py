"""The two drivers of a store, and the watch that keeps a near cache current."""
