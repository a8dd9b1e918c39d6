"""Proof that the tests are strong: small breakages of the product, each with the tests that must
catch it. `make mutants` applies them one at a time in a copy and prints which survive."""
