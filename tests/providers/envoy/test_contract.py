"""Envoy keeps the contracts of `Gateway` and `Backends`."""

from tests.contracts.backends import BackendsContract
from tests.contracts.gateway import GatewayContract


class TestEnvoyGateway(GatewayContract):
    """The kit."""


class TestEnvoyBackends(BackendsContract):
    """The kit."""
