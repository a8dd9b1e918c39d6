"""The layer `sentry` (`layer.Sentry`): records releases by sentry-cli (`cli`) and, for what that
cannot do, by Sentry's API (`api`)."""
