"""Concepts: what erases a task's classes from hidden states, what steers states along them, and controls of both."""
