"""What is installed, what this machine has, and whether a picture can be painted here."""
