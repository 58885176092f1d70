"""The rules of mailconsole, each as a check that talks to the running program."""
