"""What this machine has: hardware, logins. It is asked, never changed."""
