output "names" {
  description = "The alerts, each with what it means."
  value       = { for name, alert in local.alerts : name => alert.what }
}
