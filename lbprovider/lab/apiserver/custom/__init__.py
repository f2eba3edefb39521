"""Kinds that a CustomResourceDefinition adds: when they are served, and what their schema makes of an object."""
