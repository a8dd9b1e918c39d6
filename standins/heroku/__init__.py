"""A stand-in of Heroku; README.md says what it models."""
