"""The settings of the service, checked before anything starts."""
