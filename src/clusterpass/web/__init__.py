"""What web integrations share, free of any framework."""
