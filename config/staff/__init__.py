"""The staff's site: Django's admin with the pages that no single app can show."""
