"""Experiments that other people's papers describe or ask for, each one command."""
