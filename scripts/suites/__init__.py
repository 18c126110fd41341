"""The test suites of other projects, run directly and through pgusher: see scripts/suites.py."""
