"""What generates files of the project; nothing of it is in the image."""
