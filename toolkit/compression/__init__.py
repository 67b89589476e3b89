"""Runs made smaller: each is made from a run and is one."""
