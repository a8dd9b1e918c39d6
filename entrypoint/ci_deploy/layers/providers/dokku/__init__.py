"""The provider for apps on a Dokku server, which it controls over ssh."""
