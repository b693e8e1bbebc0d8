"""Debian: signed indexes, dependencies, packages and what is in them; no apt, no dpkg, no root."""
