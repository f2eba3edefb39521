"""Kinds that a CustomResourceDefinition adds: when they are served, and by what schema."""
