"""Every command, and nothing else: flags and environment in, settings out, one sentence and an exit status on errors.

A command imports its app when it runs, so that a speaker carries none of what only the controller needs.
"""
