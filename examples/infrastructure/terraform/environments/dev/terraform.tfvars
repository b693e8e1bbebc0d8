# Placeholders, so that the files can be checked as they are: each is yours to fill in. None of them is a secret.
subscription_id       = "00000000-0000-0000-0000-000000000000"
project               = "shop"
owner                 = "platform@example.com"
cost_center           = "1234"
gitlab_project        = "shop/platform"
certificate_secret_id = "https://kv-shop-certificates.vault.azure.net/secrets/public"
admin_public_key      = "ssh-rsa REPLACE-WITH-YOUR-OWN-PUBLIC-KEY platform@example.com"
tell_emails           = { platform = "platform@example.com" }
image_versions        = { gateway = "1.0.0", hello = "1.0.0" }
