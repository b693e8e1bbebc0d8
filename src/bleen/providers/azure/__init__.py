"""Azure: fleets are scale sets, images are versions in a gallery, routes are a blob. Needs ``bleen[azure]``.

Nothing of this has run in Azure: it is tested against a double (docs/azure.md says what that shows and what it does not).
"""
