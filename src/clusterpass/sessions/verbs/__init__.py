"""The verbs that callers use, grouped by topic, one file each. Every verb is a flow."""
