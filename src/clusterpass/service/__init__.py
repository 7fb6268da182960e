"""The auth service: login, verify, refresh and logout over HTTP, on the library's public names."""
