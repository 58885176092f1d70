"""Errors that the kernel returns from one system call, and what the program makes of them."""
