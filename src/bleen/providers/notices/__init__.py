"""Port `Notices` by channels: signed webhooks, and mail and chats through the library apprise."""
