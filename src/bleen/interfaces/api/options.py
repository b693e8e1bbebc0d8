"""Parameters and roles that several routes share."""

from typing import Annotated

from litestar.params import QueryParameter

from bleen.domain.access import Role

Environment = Annotated[str, QueryParameter(description="Default: the environment of the platform.")]
BreakGlass = Annotated[
    str, QueryParameter(description="In an emergency: why this goes past the approval by somebody else.", max_length=500)
]
OverrideFreeze = Annotated[
    str, QueryParameter(description="By an approver: why this begins in a freeze, or outside a window.", max_length=500)
]
RemovalReason = Annotated[str, QueryParameter(description="Why, in one line.", max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
VIEW = {"needs": Role.VIEWER, "within": "environment"}
DEPLOY = {"needs": Role.DEPLOYER, "within": "environment"}
