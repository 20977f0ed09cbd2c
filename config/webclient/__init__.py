"""The web client as the server sees it: files that Node builds (build), what they are served with (policy), and the page at `/` (page)."""
