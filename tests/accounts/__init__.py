"""Who is let in: accounts, sessions, devices, limits on guessing."""
