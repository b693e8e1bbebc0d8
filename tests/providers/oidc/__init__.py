"""OpenID Connect."""
