"""What a schema cannot know: which words and ranges Azure takes. One row each, with where it is written.

`azurerm: X` is the provider's page of the resource X; `azure: X` is Microsoft's page of that title.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from tests.terraform.hcl import Expression, inner, nested


class Rule(msgspec.Struct, frozen=True):
    """One argument of one kind, the values it takes, and the page that says so."""

    kind: str
    path: str
    takes: Callable[[Any], bool]
    says: str
    source: str


_Takes = tuple[Callable[[Any], bool], str]


def _one_of(*values: str | int) -> _Takes:
    return lambda value: value in values, "one of " + ", ".join(map(str, values))


def _between(low: float, high: float) -> _Takes:
    return lambda value: isinstance(value, int | float) and low <= value <= high, f"{low} to {high}"


def _minutes(low: int, high: int) -> _Takes:
    """Return a rule for a duration like ``PT5M``, in minutes."""

    def takes(value: Any) -> bool:
        found = re.fullmatch(r"PT(?:(\d+)H)?(?:(\d+)M)?", str(value))
        return found is not None and low <= int(found[1] or 0) * 60 + int(found[2] or 0) <= high

    return takes, f"PT{low}M to PT{high}M"


def _like(pattern: str) -> _Takes:
    return lambda value: re.fullmatch(pattern, str(value)) is not None, f"like {pattern}"


def _only(value: Any) -> _Takes:
    return lambda seen: seen == value, f"{value}, by the rules of this repository"


_VMSS = "azurerm_orchestrated_virtual_machine_scale_set"
_PSQL = "azurerm_postgresql_flexible_server"
_AGW = "azurerm_application_gateway"
_WAF = "azurerm_web_application_firewall_policy"
_SCALE = "azurerm_monitor_autoscale_setting"
_NSG = "azurerm_network_security_group"
_ALERT = "azurerm_monitor_metric_alert"
_STORE = "azurerm_storage_account"

_ROWS: list[tuple[str, str, _Takes, str]] = [
    (_VMSS, "upgrade_mode", _one_of("Automatic", "Manual", "Rolling"), "azurerm: orchestrated_virtual_machine_scale_set"),
    (_VMSS, "platform_fault_domain_count", _one_of(1, 2, 3, 5), "azure: Choosing the right number of fault domains"),
    (_VMSS, "instances", _between(0, 1000), "azure: Orchestration modes for scale sets (Flexible: at most 1,000)"),
    (_VMSS, "encryption_at_host_enabled", _only(True), "policy module: encryption at host"),
    (_VMSS, "os_disk.caching", _one_of("None", "ReadOnly", "ReadWrite"), "azurerm: orchestrated_virtual_machine_scale_set"),
    (
        _VMSS,
        "os_disk.storage_account_type",
        _one_of("Standard_LRS", "StandardSSD_LRS", "StandardSSD_ZRS", "Premium_LRS", "Premium_ZRS"),
        "azurerm: orchestrated_virtual_machine_scale_set",
    ),
    (_VMSS, "identity.type", _one_of("UserAssigned"), "azurerm: orchestrated_virtual_machine_scale_set (the only one)"),
    (_VMSS, "automatic_instance_repair.grace_period", _minutes(10, 90), "azure: AutomaticRepairsPolicy.gracePeriod"),
    (_VMSS, "automatic_instance_repair.action", _one_of("Replace", "Restart", "Reimage"), "azure: AutomaticRepairsPolicy"),
    (_VMSS, "termination_notification.timeout", _minutes(5, 15), "azure: Terminate notification for scale set instances"),
    (
        _VMSS,
        "os_profile.linux_configuration.patch_mode",
        _one_of("AutomaticByPlatform", "ImageDefault"),
        "azurerm: orchestrated_virtual_machine_scale_set",
    ),
    (_VMSS, "os_profile.linux_configuration.disable_password_authentication", _only(True), "identity: no password anywhere"),
    (_VMSS, "rolling_upgrade_policy.max_batch_instance_percent", _between(5, 100), "azure: RollingUpgradePolicy"),
    (_VMSS, "rolling_upgrade_policy.max_unhealthy_instance_percent", _between(5, 100), "azure: RollingUpgradePolicy"),
    (_VMSS, "rolling_upgrade_policy.max_unhealthy_upgraded_instance_percent", _between(0, 100), "azure: RollingUpgradePolicy"),
    (_SCALE, "predictive.scale_mode", _one_of("Disabled", "ForecastOnly", "Enabled"), "azurerm: monitor_autoscale_setting"),
    (_SCALE, "predictive.look_ahead_time", _minutes(1, 60), "azure: Predictive autoscale (at most an hour)"),
    (_SCALE, "profile.capacity.minimum", _between(0, 1000), "azurerm: monitor_autoscale_setting"),
    (_SCALE, "profile.capacity.maximum", _between(0, 1000), "azurerm: monitor_autoscale_setting"),
    (
        _SCALE,
        "profile.rule.metric_trigger.metric_name",
        _one_of("Percentage CPU"),
        "azure: Supported metrics, virtualMachineScaleSets",
    ),
    (
        _SCALE,
        "profile.rule.metric_trigger.operator",
        _one_of("Equals", "NotEquals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"),
        "azurerm: monitor_autoscale_setting",
    ),
    (
        _SCALE,
        "profile.rule.metric_trigger.statistic",
        _one_of("Average", "Max", "Min", "Sum"),
        "azurerm: monitor_autoscale_setting",
    ),
    (_SCALE, "profile.rule.metric_trigger.time_window", _minutes(5, 720), "azurerm: monitor_autoscale_setting"),
    (_SCALE, "profile.rule.scale_action.cooldown", _minutes(1, 10080), "azurerm: monitor_autoscale_setting"),
    (_SCALE, "profile.rule.scale_action.direction", _one_of("Increase", "Decrease"), "azurerm: monitor_autoscale_setting"),
    (
        _SCALE,
        "profile.rule.scale_action.type",
        _one_of("ChangeCount", "ExactCount", "PercentChangeCount", "ServiceAllowedNextValue"),
        "azurerm: monitor_autoscale_setting",
    ),
    ("azurerm_lb", "sku", _one_of("Standard", "Gateway"), "azure: Basic Load Balancer was retired in September 2025"),
    ("azurerm_lb", "frontend_ip_configuration.private_ip_address_allocation", _one_of("Static", "Dynamic"), "azurerm: lb"),
    ("azurerm_lb_probe", "protocol", _one_of("Http", "Https", "Tcp"), "azurerm: lb_probe"),
    ("azurerm_lb_probe", "interval_in_seconds", _between(5, 2147483646), "azurerm: lb_probe"),
    ("azurerm_lb_rule", "protocol", _one_of("Tcp", "Udp", "All"), "azurerm: lb_rule"),
    ("azurerm_lb_rule", "idle_timeout_in_minutes", _between(4, 100), "azurerm: lb_rule"),
    ("azurerm_public_ip", "allocation_method", _one_of("Static"), "azurerm: public_ip (Standard is static)"),
    ("azurerm_public_ip", "sku", _one_of("Standard", "StandardV2"), "azure: Basic public IPs were retired in September 2025"),
    ("azurerm_nat_gateway", "sku_name", _one_of("Standard", "StandardV2"), "azurerm: nat_gateway"),
    ("azurerm_nat_gateway", "idle_timeout_in_minutes", _between(4, 120), "azurerm: nat_gateway"),
    (
        "azurerm_virtual_network",
        "encryption.enforcement",
        _one_of("AllowUnencrypted", "DropUnencrypted"),
        "azurerm: virtual_network",
    ),
    (
        "azurerm_subnet",
        "private_endpoint_network_policies",
        _one_of("Disabled", "Enabled", "NetworkSecurityGroupEnabled", "RouteTableEnabled"),
        "azurerm: subnet",
    ),
    (
        "azurerm_subnet",
        "default_outbound_access_enabled",
        _only(False),
        "azure: Default outbound access is retired: a NAT gateway",
    ),
    (_NSG, "security_rule.priority", _between(100, 4096), "azurerm: network_security_group"),
    (_NSG, "security_rule.direction", _one_of("Inbound", "Outbound"), "azurerm: network_security_group"),
    (_NSG, "security_rule.access", _one_of("Allow", "Deny"), "azurerm: network_security_group"),
    (_NSG, "security_rule.protocol", _one_of("Tcp", "Udp", "Icmp", "Esp", "Ah", "*"), "azurerm: network_security_group"),
    (_AGW, "sku.name", _one_of("WAF_v2"), "network design: the edge has a firewall"),
    (_AGW, "sku.tier", _one_of("WAF_v2"), "network design: the edge has a firewall"),
    (_AGW, "autoscale_configuration.min_capacity", _between(0, 125), "azurerm: application_gateway"),
    (_AGW, "autoscale_configuration.max_capacity", _between(2, 125), "azurerm: application_gateway"),
    (_AGW, "backend_http_settings.cookie_based_affinity", _one_of("Enabled", "Disabled"), "azurerm: application_gateway"),
    (_AGW, "backend_http_settings.request_timeout", _between(1, 86400), "azurerm: application_gateway"),
    (_AGW, "backend_http_settings.connection_draining.drain_timeout_sec", _between(1, 3600), "azurerm: application_gateway"),
    (_AGW, "http_listener.protocol", _one_of("Https"), "network design: users come by TLS"),
    (_AGW, "probe.interval", _between(1, 86400), "azurerm: application_gateway"),
    (_AGW, "probe.timeout", _between(1, 86400), "azurerm: application_gateway"),
    (_AGW, "request_routing_rule.rule_type", _one_of("Basic", "PathBasedRouting"), "azurerm: application_gateway"),
    (_AGW, "request_routing_rule.priority", _between(1, 20000), "azurerm: application_gateway (required by v2)"),
    (
        _AGW,
        "ssl_policy.policy_name",
        _one_of("AppGwSslPolicy20220101", "AppGwSslPolicy20220101S"),
        "azure: Application Gateway TLS policy (1.2 and newer)",
    ),
    (_WAF, "policy_settings.mode", _one_of("Detection", "Prevention"), "azurerm: web_application_firewall_policy"),
    (_WAF, "policy_settings.file_upload_limit_in_mb", _between(1, 4000), "azurerm: web_application_firewall_policy"),
    (_WAF, "policy_settings.max_request_body_size_in_kb", _between(8, 2000), "azurerm: web_application_firewall_policy"),
    (
        _WAF,
        "managed_rules.managed_rule_set.type",
        _one_of("Microsoft_BotManagerRuleSet", "Microsoft_DefaultRuleSet", "OWASP"),
        "azurerm: web_application_firewall_policy",
    ),
    (
        _WAF,
        "managed_rules.managed_rule_set.version",
        _one_of("0.1", "1.0", "1.1", "2.1", "2.2", "3.0", "3.1", "3.2"),
        "azurerm: web_application_firewall_policy",
    ),
    (
        _WAF,
        "custom_rules.rule_type",
        _one_of("MatchRule", "RateLimitRule", "Invalid"),
        "azurerm: web_application_firewall_policy",
    ),
    (_WAF, "custom_rules.action", _one_of("Allow", "Block", "Log", "JSChallenge"), "azurerm: web_application_firewall_policy"),
    (_WAF, "custom_rules.rate_limit_duration", _one_of("OneMin", "FiveMins"), "azurerm: web_application_firewall_policy"),
    (_PSQL, "version", _one_of("11", "12", "13", "14", "15", "16", "17", "18"), "azurerm: postgresql_flexible_server"),
    (_PSQL, "backup_retention_days", _between(7, 35), "azurerm: postgresql_flexible_server"),
    (
        _PSQL,
        "create_mode",
        _one_of("Default", "GeoRestore", "PointInTimeRestore", "Replica", "ReviveDropped", "Update"),
        "azurerm: postgresql_flexible_server",
    ),
    (_PSQL, "sku_name", _like(r"(B|GP|MO)_Standard_\w+"), "azurerm: postgresql_flexible_server"),
    (
        _PSQL,
        "storage_mb",
        _one_of(*(32768 * 2**n for n in range(10)), 4193280, 33553408),
        "azurerm: postgresql_flexible_server",
    ),
    (_PSQL, "high_availability.mode", _one_of("SameZone", "ZoneRedundant"), "azurerm: postgresql_flexible_server"),
    (_PSQL, "authentication.password_auth_enabled", _only(False), "identity: no password anywhere"),
    (_PSQL, "public_network_access_enabled", _only(False), "network design: private endpoints"),
    (f"{_PSQL}_virtual_endpoint", "type", _one_of("ReadWrite"), "azurerm: postgresql_flexible_server_virtual_endpoint"),
    (
        f"{_PSQL}_active_directory_administrator",
        "principal_type",
        _one_of("User", "Group", "ServicePrincipal"),
        "azurerm: postgresql_flexible_server_active_directory_administrator",
    ),
    ("azurerm_key_vault", "sku_name", _one_of("standard", "premium"), "azurerm: key_vault"),
    ("azurerm_key_vault", "soft_delete_retention_days", _between(7, 90), "azurerm: key_vault"),
    ("azurerm_key_vault", "network_acls.default_action", _only("Deny"), "network design: private endpoints"),
    ("azurerm_key_vault_key", "key_type", _one_of("EC", "EC-HSM", "RSA", "RSA-HSM"), "azurerm: key_vault_key"),
    ("azurerm_key_vault_key", "key_size", _one_of(2048, 3072, 4096), "azure: Server-side encryption of disks (RSA)"),
    (
        "azurerm_disk_encryption_set",
        "encryption_type",
        _one_of(
            "EncryptionAtRestWithCustomerKey",
            "EncryptionAtRestWithPlatformAndCustomerKeys",
            "ConfidentialVmEncryptedWithCustomerKey",
        ),
        "azurerm: disk_encryption_set",
    ),
    ("azurerm_shared_image", "os_type", _one_of("Linux", "Windows"), "azurerm: shared_image"),
    (
        "azurerm_shared_image",
        "trusted_launch_supported",
        _only(True),
        "azurerm: orchestrated_virtual_machine_scale_set (no secure_boot_enabled: an image that demands it would not start)",
    ),
    ("azurerm_shared_image", "hyper_v_generation", _only("V2"), "azure: Trusted launch needs generation 2"),
    ("azurerm_shared_image", "architecture", _one_of("x64", "Arm64"), "azurerm: shared_image"),
    (_STORE, "account_tier", _one_of("Standard", "Premium"), "azurerm: storage_account"),
    (_STORE, "account_replication_type", _one_of("LRS", "GRS", "RAGRS", "ZRS", "GZRS", "RAGZRS"), "azurerm: storage_account"),
    (_STORE, "min_tls_version", _only("TLS1_2"), "azure: TLS 1.0 and 1.1 are retired"),
    (_STORE, "shared_access_key_enabled", _only(False), "identity: no secret anywhere"),
    ("azurerm_storage_container", "container_access_type", _only("private"), "identity: no anonymous reader"),
    (
        "azurerm_federated_identity_credential",
        "audience",
        _only(["api://AzureADTokenExchange"]),
        "azure: Workload identity federation",
    ),
    ("azurerm_role_assignment", "principal_type", _one_of("User", "Group", "ServicePrincipal"), "azurerm: role_assignment"),
    ("azurerm_management_lock", "lock_level", _one_of("CanNotDelete", "ReadOnly"), "azurerm: management_lock"),
    ("azurerm_log_analytics_workspace", "sku", _one_of("PerGB2018", "CapacityReservation"), "azurerm: log_analytics_workspace"),
    ("azurerm_log_analytics_workspace", "retention_in_days", _between(30, 730), "azurerm: log_analytics_workspace"),
    ("azurerm_monitor_action_group", "short_name", _like(".{1,12}"), "azurerm: monitor_action_group (1 to 12 characters)"),
    (_ALERT, "severity", _between(0, 4), "azurerm: monitor_metric_alert"),
    (_ALERT, "frequency", _one_of("PT1M", "PT5M", "PT15M", "PT30M", "PT1H"), "azurerm: monitor_metric_alert"),
    (
        _ALERT,
        "window_size",
        _one_of("PT1M", "PT5M", "PT15M", "PT30M", "PT1H", "PT6H", "PT12H", "P1D"),
        "azurerm: monitor_metric_alert",
    ),
    (
        _ALERT,
        "criteria.aggregation",
        _one_of("Average", "Count", "Minimum", "Maximum", "Total"),
        "azurerm: monitor_metric_alert",
    ),
    (
        _ALERT,
        "criteria.operator",
        _one_of("Equals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"),
        "azurerm: monitor_metric_alert",
    ),
    (
        "azurerm_monitor_activity_log_alert",
        "criteria.category",
        _one_of("Administrative", "Autoscale", "Policy", "Recommendation", "ResourceHealth", "Security", "ServiceHealth"),
        "azurerm: monitor_activity_log_alert",
    ),
    (
        "azurerm_monitor_data_collection_rule",
        "kind",
        _one_of("Linux", "Windows", "AgentDirectToStore", "WorkspaceTransforms"),
        "azurerm: monitor_data_collection_rule",
    ),
    (
        "azurerm_consumption_budget_resource_group",
        "time_grain",
        _one_of("BillingAnnual", "BillingMonth", "BillingQuarter", "Annually", "Monthly", "Quarterly"),
        "azurerm: consumption_budget_resource_group",
    ),
    (
        "azurerm_consumption_budget_resource_group",
        "notification.threshold",
        _between(0, 1000),
        "azurerm: consumption_budget_resource_group",
    ),
    (
        "azurerm_traffic_manager_profile",
        "traffic_routing_method",
        _one_of("Geographic", "MultiValue", "Performance", "Priority", "Subnet", "Weighted"),
        "azurerm: traffic_manager_profile",
    ),
    ("azurerm_traffic_manager_profile", "dns_config.ttl", _between(0, 2147483647), "azurerm: traffic_manager_profile"),
    (
        "azurerm_traffic_manager_profile",
        "monitor_config.protocol",
        _one_of("HTTP", "HTTPS", "TCP"),
        "azurerm: traffic_manager_profile",
    ),
    (
        "azurerm_traffic_manager_profile",
        "monitor_config.interval_in_seconds",
        _one_of(10, 30),
        "azurerm: traffic_manager_profile",
    ),
    (
        "azurerm_traffic_manager_profile",
        "monitor_config.timeout_in_seconds",
        _between(5, 9),
        "azurerm: traffic_manager_profile (5 to 9 where the interval is 10)",
    ),
    (
        "azurerm_traffic_manager_profile",
        "monitor_config.tolerated_number_of_failures",
        _between(0, 9),
        "azurerm: traffic_manager_profile",
    ),
    ("azurerm_traffic_manager_azure_endpoint", "priority", _between(1, 1000), "azurerm: traffic_manager_azure_endpoint"),
    (
        "azurerm_policy_definition",
        "policy_type",
        _one_of("BuiltIn", "Custom", "NotSpecified", "Static"),
        "azurerm: policy_definition",
    ),
    ("azurerm_policy_definition", "mode", _one_of("All", "Indexed"), "azurerm: policy_definition (of resource manager modes)"),
    (
        "azurerm_resource_group_policy_assignment",
        "name",
        _like(r"[^<>*%&:\\?.+/]{1,64}"),
        "azurerm: resource_group_policy_assignment",
    ),
]

RULES = [Rule(kind, path, *takes, source) for kind, path, takes, source in _ROWS]


def broken(kind: str, body: dict[str, Any]) -> Iterator[str]:
    """Return what a resource's values break; a body of a file or of a plan. What is computed is not judged here."""
    for rule in RULES:
        if rule.kind == kind:
            for value in _values(body, rule.path.split(".")):
                if value is not None and not isinstance(value, Expression) and not rule.takes(value):
                    yield f"{kind}.{rule.path} is {value!r}; it is {rule.says} ({rule.source})"


def _values(body: dict[str, Any], path: list[str]) -> Iterator[Any]:
    if len(path) == 1:
        yield body.get(path[0])
        return
    for name, block in _blocks(body):
        if name == path[0]:
            yield from _values(block, path[1:])


def _blocks(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from inner(body)
    for key, value in body.items():
        if isinstance(value, list) and not nested(value):
            yield from ((key, item) for item in value if isinstance(item, dict) and key != "dynamic")
