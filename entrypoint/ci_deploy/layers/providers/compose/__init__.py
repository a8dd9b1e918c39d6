"""The provider for apps on Docker hosts with Compose: starts runs on the hosts and follows them."""
