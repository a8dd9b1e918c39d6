"""Makes a release of this project; no part of what is shipped. CONTRIBUTING.md says how."""
