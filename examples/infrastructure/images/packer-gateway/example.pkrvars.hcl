# Placeholders, so that the template can be checked as it is.
subscription_id        = "00000000-0000-0000-0000-000000000000"
project                = "shop"
build_resource_group   = "rg-shop-build-dev-weu"
gallery_resource_group = "rg-shop-dev-weu"
gallery                = "gal_shop_dev_weu"
version                = "1.0.0"
regions                = ["westeurope"]
base_version           = "0.20251112.2294"
gateway                = "gateway.tar"
gateway_sha256         = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
envoy_version          = "1.40.0"
revision               = "0000000000000000000000000000000000000000"
