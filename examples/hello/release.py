"""What runs once for each release, before it takes over: the place of an app's migrations."""

print("nothing to migrate")
