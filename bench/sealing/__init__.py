"""What sealed messages cost the server: see __main__."""
