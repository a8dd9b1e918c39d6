"""The release task, which runs once for each release before it goes live, like migrations."""

print("nothing to migrate")
