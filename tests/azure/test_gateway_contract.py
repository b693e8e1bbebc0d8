"""A tier of two Envoys that pull their routes keeps the contracts of `Gateway` and `Backends`."""

from tests.contracts.backends import BackendsContract
from tests.contracts.gateway import GatewayContract


class TestAzureGateway(GatewayContract):
    """The kit."""


class TestAzureBackends(BackendsContract):
    """The kit."""
