"""OpenID Connect: signing people in, and reading the tokens of programs. Imported only where an access file names an issuer."""

from bleen.providers.oidc.issuers import OidcIssuers

__all__ = ["OidcIssuers"]
