"""Who exists: users, their devices, sign-in, tokens and revocation; staff are separate."""
