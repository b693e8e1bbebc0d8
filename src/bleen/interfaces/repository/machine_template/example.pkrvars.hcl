# Placeholders, so that the template can be checked as it is.
subscription_id        = "00000000-0000-0000-0000-000000000000"
build_resource_group   = "rg-shop-build-dev-weu"
gallery_resource_group = "rg-shop-dev-weu"
gallery                = "gal_shop_dev_weu"
regions                = ["westeurope"]
base_version           = "0.20251112.2294"
